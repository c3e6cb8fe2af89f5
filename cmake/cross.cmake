# What the toolchain files have in common. They have set cross_triplet, cross_compilers (the best first),
# cross_packages (that bring one on Debian) and cross_emulator.

if(NOT CMAKE_C_COMPILER AND DEFINED ENV{CC})
  set(CMAKE_C_COMPILER $ENV{CC})
elseif(NOT CMAKE_C_COMPILER)
  find_program(CROSS_COMPILER NAMES ${cross_compilers})
  if(NOT CROSS_COMPILER)
    message(FATAL_ERROR "no compiler for ${cross_triplet} here; on Debian: apt-get install ${cross_packages}")
  endif()
  set(CMAKE_C_COMPILER ${CROSS_COMPILER})
endif()

# clang is told what to build for, and brings its own linker. gcc ignores the first and has the second.
set(CMAKE_C_COMPILER_TARGET ${cross_triplet})
if(CMAKE_C_COMPILER MATCHES "clang(-[0-9]+)?$")
  foreach(kind EXE SHARED MODULE)
    set(CMAKE_${kind}_LINKER_FLAGS_INIT -fuse-ld=lld)
  endforeach()
endif()

# Libraries for the target only: Debian's, of that architecture. CMake concludes its name from the folders that the
# compiler searches; clang names only those that are there.
set(CMAKE_LIBRARY_ARCHITECTURE ${cross_triplet})
if(NOT DEFINED ENV{PKG_CONFIG_LIBDIR})
  set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/${cross_triplet}/pkgconfig:/usr/share/pkgconfig)
endif()

# Lets ctest run the programs here.
find_program(CROSS_EMULATOR ${cross_emulator})
if(CROSS_EMULATOR)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${CROSS_EMULATOR} -L /usr/${cross_triplet})
endif()
