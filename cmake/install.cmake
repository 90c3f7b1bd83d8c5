# What `cmake --install` puts in place: libraries, headers, the command line (tools/planish), and what
# find_package(planish) and pkg-config need.
include(CMakePackageConfigHelpers)

set(backends)
foreach(backend planish_shared_cuda planish_shared_onednn)
  if(TARGET ${backend})
    list(APPEND backends ${backend})
  endif()
endforeach()
# Component `libraries`: what the Python package takes (python/install_libraries.cmake).
install(TARGETS planish_shared_runtime planish_shared ${backends} EXPORT planish-targets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT libraries)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/planish DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h")
install(EXPORT planish-targets NAMESPACE planish::
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/planish)
configure_package_config_file(cmake/planishConfig.cmake.in ${PROJECT_BINARY_DIR}/planishConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/planish)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/planishConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/planishConfig.cmake
              ${PROJECT_BINARY_DIR}/planishConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/planish)
foreach(name planish planish_runtime)
  configure_file(cmake/${name}.pc.in ${PROJECT_BINARY_DIR}/${name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
