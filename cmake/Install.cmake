# What `cmake --install` puts in place for programs that use the library: its archives, the public
# header with what it includes, and a package for find_package(zimage), whose target is zimage::zimage.
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/zimage)

get_property(rooms GLOBAL PROPERTY ZIMAGE_ROOMS)
list(FILTER rooms EXCLUDE REGEX "^zimage_(cli(_.*)?|metadata|convert|download)$")
foreach(room ${rooms})
  string(REPLACE zimage_ "" export_name ${room})
  set_target_properties(${room} PROPERTIES EXPORT_NAME ${export_name})
endforeach()
set_target_properties(zimage_pipeline PROPERTIES EXPORT_NAME zimage)
add_library(zimage::zimage ALIAS zimage_pipeline)

install(TARGETS ${rooms} EXPORT zimage ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT zimage NAMESPACE zimage:: FILE zimage-targets.cmake DESTINATION ${package_dir})
foreach(header base/error.h base/log.h image/image.h scheduler/sampler.h pipeline/pipeline.h)
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${CMAKE_SOURCE_DIR}/src/${header}
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/zimage/${folder})
endforeach()
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE ${CMAKE_SOURCE_DIR}/NOTICE
        DESTINATION ${CMAKE_INSTALL_DOCDIR})

configure_package_config_file(cmake/zimage-config.cmake.in ${CMAKE_BINARY_DIR}/zimage-config.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/zimage-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/zimage-config.cmake ${CMAKE_BINARY_DIR}/zimage-config-version.cmake
        DESTINATION ${package_dir})
