# fastvlm::fastvlm, the static library, and libfastvlm.so: both from the objects of the parts, which
# are compiled once, as position-independent code. That costs nothing: as the symbols are hidden, no call
# within the library goes through a table, and GCC makes the same instructions of kernels and ops as for
# a program (compared object by object).
set(objects)
foreach(part IN LISTS parts)
  set_target_properties(fastvlm_${part} PROPERTIES
    POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON EXCLUDE_FROM_ALL ON)
  if(NOT FASTVLM_SANITIZE)
    # The kernels' loops must be unrolled, whatever build type another project chooses.
    target_compile_options(fastvlm_${part} PRIVATE $<$<CONFIG:Release,RelWithDebInfo>:-O3>)
  endif()
  list(APPEND objects $<TARGET_OBJECTS:fastvlm_${part}>)
endforeach()

function(fastvlm_joined_library target kind)
  add_library(${target} ${kind} ${objects})
  set_target_properties(${target} PROPERTIES OUTPUT_NAME fastvlm EXPORT_NAME fastvlm LINKER_LANGUAGE CXX
    ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
  target_compile_features(${target} INTERFACE cxx_std_20)
  target_include_directories(${target} INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>)
  target_link_libraries(${target} PRIVATE ${FASTVLM_LIBRARIES})
endfunction()

fastvlm_joined_library(fastvlm_static STATIC)
add_library(fastvlm::fastvlm ALIAS fastvlm_static)
if(FASTVLM_BUILD_SHARED AND NOT FASTVLM_SANITIZE)
  fastvlm_joined_library(fastvlm_shared SHARED)
  set(script ${PROJECT_SOURCE_DIR}/cmake/exports.map)
  set_target_properties(fastvlm_shared PROPERTIES
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR} LINK_DEPENDS ${script})
  target_link_options(fastvlm_shared PRIVATE LINKER:--version-script=${script} LINKER:--no-undefined)
endif()
