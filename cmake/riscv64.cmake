# Builds for riscv64 Linux:  cmake -DCMAKE_TOOLCHAIN_FILE=cmake/riscv64.cmake ...
#
# The vector kernels take gcc 14 or clang 17; with an older compiler the library is built without them. CC in the
# environment (or -DCMAKE_C_COMPILER) chooses another one.

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR riscv64)
set(cross_triplet riscv64-linux-gnu)
set(cross_compilers ${cross_triplet}-gcc-15 ${cross_triplet}-gcc-14 clang-21 clang-20 clang-19 clang-18 clang-17
                    ${cross_triplet}-gcc clang)
set(cross_packages "clang-19 lld-19 llvm-19 libgcc-12-dev-riscv64-cross libc6-dev-riscv64-cross")
set(cross_emulator qemu-riscv64)
include(${CMAKE_CURRENT_LIST_DIR}/cross.cmake)
