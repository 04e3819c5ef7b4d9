# The bundled model lies at PREFIX/share/fastvlm/models, where FindBundledModel() looks: in the build
# tree, by a link, as in an installation.
set(model ${PROJECT_SOURCE_DIR}/models/nano)
if(EXISTS ${model}/config.json)
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/share/fastvlm)
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/models ${PROJECT_BINARY_DIR}/share/fastvlm/models SYMBOLIC)
endif()
if(NOT PROJECT_IS_TOP_LEVEL)
  return()
endif()

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/fastvlm)

if(FASTVLM_BUILD_PROGRAM)
  install(TARGETS fastvlm RUNTIME)
endif()
if(EXISTS ${model}/config.json)
  install(DIRECTORY ${model} DESTINATION share/fastvlm/models)
endif()
install(FILES LICENSE NOTICE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY include/fastvlm DESTINATION include)

# One set of targets for each kind of the library: fastvlmConfig.cmake includes one of them.
install(TARGETS fastvlm_static EXPORT fastvlm_static ARCHIVE)
install(EXPORT fastvlm_static NAMESPACE fastvlm:: FILE fastvlm_static.cmake DESTINATION ${package})
if(TARGET fastvlm_shared)
  install(TARGETS fastvlm_shared EXPORT fastvlm_shared LIBRARY)
  install(EXPORT fastvlm_shared NAMESPACE fastvlm:: FILE fastvlm_shared.cmake DESTINATION ${package})
endif()
set(FASTVLM_MODELS_DIR share/fastvlm/models)
configure_package_config_file(cmake/fastvlmConfig.cmake.in fastvlmConfig.cmake
  INSTALL_DESTINATION ${package} PATH_VARS FASTVLM_MODELS_DIR)
# Before 1.0 a new minor version may change the API.
write_basic_package_version_file(fastvlmConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/fastvlmConfig.cmake ${PROJECT_BINARY_DIR}/fastvlmConfigVersion.cmake
  DESTINATION ${package})

# The prefix is found from where the file is, so that the whole installation may be moved.
file(RELATIVE_PATH FASTVLM_PREFIX_FROM_PC
  ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" FASTVLM_PREFIX_FROM_PC "${FASTVLM_PREFIX_FROM_PC}")
set(FASTVLM_HEIF_MODULE "")
if(FASTVLM_HEIF_FOUND)
  set(FASTVLM_HEIF_MODULE libheif)
endif()
configure_file(cmake/fastvlm.pc.in fastvlm.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/fastvlm.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
