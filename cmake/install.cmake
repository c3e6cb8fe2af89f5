# Header, library, pkg-config file and CMake package. All of it finds its way from where it lies, so that an
# installed tree can be moved. Three components: what programs run with (library), what they are built with
# (development), and the command (tools).

include(CMakePackageConfigHelpers)

# The command finds the library of its own installation.
file(RELATIVE_PATH bin_to_lib ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
set(CMAKE_INSTALL_RPATH "$ORIGIN/${bin_to_lib}")

install(TARGETS unisono EXPORT unisono
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library NAMELINK_COMPONENT development
  PUBLIC_HEADER DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)

set(cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/unisono)
install(EXPORT unisono NAMESPACE unisono:: FILE unisono-targets.cmake DESTINATION ${cmake_dir}
  COMPONENT development)
configure_package_config_file(cmake/unisono-config.cmake.in unisono-config.cmake INSTALL_DESTINATION ${cmake_dir})
write_basic_package_version_file(unisono-config-version.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/unisono-config.cmake ${PROJECT_BINARY_DIR}/unisono-config-version.cmake
  DESTINATION ${cmake_dir} COMPONENT development)

file(RELATIVE_PATH pc_to_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
file(RELATIVE_PATH prefix_to_include ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_INCLUDEDIR})
file(RELATIVE_PATH prefix_to_lib ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_LIBDIR})
string(REGEX REPLACE "/$" "" pc_to_prefix ${pc_to_prefix})
configure_file(cmake/unisono.pc.in unisono.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/unisono.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
