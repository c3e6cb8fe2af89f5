# Builds for aarch64 Linux:  cmake -DCMAKE_TOOLCHAIN_FILE=cmake/aarch64.cmake ...
#
# CC in the environment (or -DCMAKE_C_COMPILER) chooses another compiler.

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(cross_triplet aarch64-linux-gnu)
set(cross_compilers ${cross_triplet}-gcc clang-19 clang)
set(cross_packages "gcc-aarch64-linux-gnu libc6-dev-arm64-cross")
set(cross_emulator qemu-aarch64)
include(${CMAKE_CURRENT_LIST_DIR}/cross.cmake)
