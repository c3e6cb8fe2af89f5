# What the packages say about the library and the command: which packages these need, and what programs need of the
# library. CPack reads this file before it makes the packages, when all is built.

cmake_policy(VERSION 3.25)

# The packages of the libraries that we link to.
set(package_of_libc.so.6 libc6)
set(package_of_libm.so.6 libc6)
set(package_of_libgcc_s.so.1 libgcc-s1)
set(package_of_libgomp.so.1 libgomp1)
set(package_of_libhwloc.so.15 libhwloc15)
set(package_of_libjansson.so.4 libjansson4)
set(package_of_libsodium.so.23 libsodium23)

# Reads from the file itself what dpkg-shlibdeps would say, which here knows the libraries of cross compilers by the
# names of cross packages only.
function(dependencies_of file variable)
  execute_process(COMMAND ${CPACK_UNISONO_READELF} -dVW ${file} OUTPUT_VARIABLE text ERROR_QUIET
    COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "GLIBC_[0-9.]+" versions "${text}")
  list(TRANSFORM versions REPLACE "GLIBC_" "")
  list(SORT versions COMPARE NATURAL ORDER DESCENDING)
  list(GET versions 0 newest)
  set(packages "libc6 (>= ${newest})")
  string(REGEX MATCHALL "Shared library: .[^]]+" needed "${text}")
  string(REPLACE "Shared library: [" "" needed "${needed}")
  foreach(name IN LISTS needed)
    if(name MATCHES "^(libunisono[.]|ld-linux)")
      continue()
    elseif(NOT package_of_${name})
      message(FATAL_ERROR "which package has ${name}, which ${file} needs? Say so in cmake/dependencies.cmake")
    elseif(NOT package_of_${name} STREQUAL libc6)
      list(APPEND packages ${package_of_${name}})
    endif()
  endforeach()
  list(JOIN packages ", " packages)
  set(${variable} "${packages}" PARENT_SCOPE)
endfunction()

# A program needs the version of the youngest symbol that it uses: a symbol's node is named after its release.
function(write_symbols)
  set(soname libunisono.so.${CPACK_UNISONO_MAJOR})
  execute_process(COMMAND ${CPACK_UNISONO_NM} -D --defined-only ${CPACK_UNISONO_LIBRARY} OUTPUT_VARIABLE text
    COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "[A-Za-z0-9_.]+@+[A-Za-z0-9_.]+|A UNISONO_[0-9.]+" symbols "${text}")
  list(TRANSFORM symbols REPLACE "A (UNISONO_.*)" "\\1@\\1")
  list(TRANSFORM symbols REPLACE "@+" "@")
  list(TRANSFORM symbols REPLACE "(.*UNISONO_)([0-9.]+)" " \\1\\2 \\2")
  list(REMOVE_DUPLICATES symbols)
  list(SORT symbols)
  list(JOIN symbols "\n" symbols)
  file(WRITE ${CPACK_UNISONO_CONTROL}/symbols "${soname} ${CPACK_UNISONO_RUNTIME} #MINVER#\n* Build-Depends-Package: libunisono-dev\n${symbols}\n")
  file(WRITE ${CPACK_UNISONO_CONTROL}/shlibs
    "libunisono ${CPACK_UNISONO_MAJOR} ${CPACK_UNISONO_RUNTIME} (>= ${CPACK_PACKAGE_VERSION})\n")
endfunction()

# Each package has a first line of its own: CPack puts no default before the description.
set(CPACK_DEFAULT_PACKAGE_DESCRIPTION_SUMMARY "${CPACK_PACKAGE_DESCRIPTION_SUMMARY}")

file(GLOB packages_before ${CPACK_UNISONO_CONTROL}/../*.deb) # of another version, perhaps
if(packages_before)
  file(REMOVE ${packages_before})
endif()

write_symbols()
file(WRITE ${CPACK_UNISONO_CONTROL}/triggers "activate-noawait ldconfig\n")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA ${CPACK_UNISONO_CONTROL}/symbols ${CPACK_UNISONO_CONTROL}/shlibs
    ${CPACK_UNISONO_CONTROL}/triggers)
dependencies_of(${CPACK_UNISONO_LIBRARY} CPACK_DEBIAN_LIBRARY_PACKAGE_DEPENDS)

dependencies_of(${CPACK_UNISONO_COMMAND} needs)
set(CPACK_DEBIAN_TOOLS_PACKAGE_DEPENDS "${CPACK_UNISONO_RUNTIME} (>= ${CPACK_PACKAGE_VERSION}), ${needs}")
