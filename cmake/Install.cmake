# Installs the library, its headers and the program, so that find_package(embedflow) works for static
# and shared builds. Only for a build of embedflow itself: a project that adds embedflow as a
# subdirectory installs what it wants.
if(NOT PROJECT_IS_TOP_LEVEL)
  return()
endif()
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/embedflow)

install(TARGETS embedflow EXPORT embedflow-targets FILE_SET HEADERS)
install(EXPORT embedflow-targets NAMESPACE embedflow:: DESTINATION ${package_dir})

# A program beside a shared library finds it wherever the two were installed together.
file(RELATIVE_PATH bin_to_lib ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
set_target_properties(embedflow_cli PROPERTIES INSTALL_RPATH "$ORIGIN/${bin_to_lib}")
install(TARGETS embedflow_cli)

configure_package_config_file(cmake/embedflow-config.cmake.in embedflow-config.cmake
  INSTALL_DESTINATION ${package_dir})
# Before 1.0 a minor version may break its users.
write_basic_package_version_file(embedflow-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/embedflow-config.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/embedflow-config-version.cmake DESTINATION ${package_dir})
