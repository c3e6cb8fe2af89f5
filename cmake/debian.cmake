# Where Debian's packages have things, and of which architecture they are. Before all rules of installation.

foreach(tool dpkg-architecture gzip)
  string(MAKE_C_IDENTIFIER ${tool} variable)
  find_program(${variable} ${tool})
  if(NOT ${variable})
    message(FATAL_ERROR "no ${tool} here, which packages need; on Debian: apt-get install dpkg-dev gzip")
  endif()
endforeach()

# What the compiler builds for: a toolchain file says it, or the compiler.
set(debian_triplet ${CMAKE_C_COMPILER_TARGET})
if(NOT debian_triplet)
  execute_process(COMMAND ${CMAKE_C_COMPILER} -dumpmachine OUTPUT_VARIABLE debian_triplet
    OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
endif()
execute_process(COMMAND ${dpkg_architecture} -f -t${debian_triplet} -qDEB_HOST_ARCH
  OUTPUT_VARIABLE debian_architecture OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${dpkg_architecture} -f -t${debian_triplet} -qDEB_HOST_MULTIARCH
  OUTPUT_VARIABLE debian_multiarch OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET COMMAND_ERROR_IS_FATAL ANY)

set(CMAKE_BUILD_TYPE Release)
set(CMAKE_INSTALL_PREFIX /usr CACHE PATH "" FORCE)
set(CMAKE_INSTALL_LIBDIR lib/${debian_multiarch} CACHE PATH "" FORCE)
set(CMAKE_SKIP_INSTALL_RPATH ON) # the loader knows these places
set(CMAKE_INSTALL_SO_NO_EXE ON)
add_compile_definitions(_FORTIFY_SOURCE=2)
add_link_options(LINKER:-z,relro LINKER:-z,now)

# Neither goes into a package.
set(UNISONO_TESTS OFF)
set(UNISONO_EXAMPLES OFF)
set(UNISONO_ONECCL OFF)
