# The Debian packages libunisono0, libunisono-dev and unisono-tools, for the architecture that is built for:
#
#   cmake -S . -B build-package -DUNISONO_DEBIAN=ON [-DCMAKE_TOOLCHAIN_FILE=cmake/riscv64.cmake]
#   cmake --build build-package --target package

set(runtime libunisono${PROJECT_VERSION_MAJOR})
set(components library development tools)
if(NOT UNISONO_TOOLS OR NOT UNISONO_MAN)
  message(FATAL_ERROR "the packages have the command and the man pages: UNISONO_TOOLS and UNISONO_MAN are to be ON")
endif()

# ---------------------------------------------------------------------- what every package has to bring

set(debian_dir ${PROJECT_BINARY_DIR}/debian)
string(TIMESTAMP debian_date "%a, %d %b %Y %H:%M:%S +0000" UTC) # of SOURCE_DATE_EPOCH, where that is set
configure_file(packages/changelog.in ${debian_dir}/changelog @ONLY)
execute_process(COMMAND ${gzip} -9nfk ${debian_dir}/changelog COMMAND_ERROR_IS_FATAL ANY)

function(add_documents component package)
  install(FILES ${debian_dir}/changelog.gz packages/copyright DESTINATION share/doc/${package} COMPONENT ${component})
endfunction()
add_documents(library ${runtime})
add_documents(development libunisono-dev)
add_documents(tools unisono-tools)

# Programs and libraries go without what only debuggers and the curious read.
function(strip_file component file)
  install(CODE "execute_process(COMMAND ${CMAKE_STRIP} --strip-unneeded -R .comment
    \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${file}\" COMMAND_ERROR_IS_FATAL ANY)" COMPONENT ${component})
endfunction()
strip_file(library ${CMAKE_INSTALL_LIBDIR}/libunisono.so.${PROJECT_VERSION})
strip_file(tools ${CMAKE_INSTALL_BINDIR}/unisono)

# Man pages are compressed; the links among them are links to compressed ones.
foreach(component development tools)
  install(CODE "file(GLOB pages \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/share/man/man*/*.[13]\")
    foreach(page IN LISTS pages)
      if(IS_SYMLINK \${page})
        file(READ_SYMLINK \${page} target)
        file(REMOVE \${page})
        file(CREATE_LINK \${target}.gz \${page}.gz SYMBOLIC)
      else()
        execute_process(COMMAND ${gzip} -9nf \${page} COMMAND_ERROR_IS_FATAL ANY)
      endif()
    endforeach()" COMPONENT ${component})
endforeach()

# -------------------------------------------------------------------------------------------- packages

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME unisono)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "The unisono developers <unisono@example.org>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL ${components})
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

# For what cmake/dependencies.cmake finds out once all is built.
set(CPACK_PROJECT_CONFIG_FILE ${PROJECT_SOURCE_DIR}/cmake/dependencies.cmake)
set(CPACK_UNISONO_RUNTIME ${runtime})
set(CPACK_UNISONO_MAJOR ${PROJECT_VERSION_MAJOR})
set(CPACK_UNISONO_READELF ${CMAKE_READELF})
set(CPACK_UNISONO_NM ${CMAKE_NM})
set(CPACK_UNISONO_LIBRARY ${PROJECT_BINARY_DIR}/libunisono.so)
set(CPACK_UNISONO_COMMAND ${PROJECT_BINARY_DIR}/tools/unisono)
set(CPACK_UNISONO_CONTROL ${debian_dir})

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE ${debian_architecture})
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(about "unisono lets the processes of one machine reduce, broadcast, gather and
exchange data through shared memory: C functions in the manner of MPI and
NCCL, with the same bits whatever the path.")

set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME ${runtime})
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION "collective communication between the processes of one machine
${about}

This package has the library that programs run with.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libunisono-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "${runtime} (= ${PROJECT_VERSION})")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "collective communication between processes: development files
${about}

This package has the header, the manual pages, and what pkg-config and CMake
need.")

set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME unisono-tools)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION utils)
set(CPACK_COMPONENT_TOOLS_DESCRIPTION "collective communication between processes: the command
${about}

This package has a command that starts ranks, measures collectives and
describes the machine.")

include(CPack)
