# fastvlm_library(name [COLD] SOURCES ... [TESTS ...] [DEPS ...]): one static library per folder of
# src/. TESTS go into the test program <name>_test.
# COLD: it waits and parses, so it is optimised little; that saves a third of its compile time.
function(fastvlm_library name)
  cmake_parse_arguments(arg "COLD" "" "SOURCES;TESTS;DEPS" ${ARGN})
  add_library(fastvlm_${name} STATIC ${arg_SOURCES})
  target_link_libraries(fastvlm_${name} PUBLIC ${arg_DEPS} PRIVATE fastvlm_flags)
  if(arg_COLD)
    target_compile_options(fastvlm_${name} PRIVATE $<$<CONFIG:RelWithDebInfo>:-O1>)
  endif()
  if(arg_TESTS)
    fastvlm_test(${name}_test SOURCES ${arg_TESTS} DEPS fastvlm_${name})
  endif()
endfunction()

# How tests are compiled.
function(fastvlm_test_flags target)
  target_link_libraries(${target} PRIVATE fastvlm_flags fmt::fmt GTest::gmock GTest::gtest_main)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  # Tests are compiled often and run once. At -O1 GCC 12 takes initializer lists for uninitialised.
  target_compile_options(${target} PRIVATE $<$<CONFIG:RelWithDebInfo>:-O1>)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # With precompiled headers GCC 12 warns of its own <string>.
    target_compile_options(${target} PRIVATE -Wno-error=maybe-uninitialized -Wno-array-bounds -Wno-restrict
      -Wno-stringop-overflow -Wno-stringop-overread)
  endif()
  target_compile_definitions(${target} PRIVATE FASTVLM_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
endfunction()

# GoogleTest's headers, compiled once for all tests.
function(fastvlm_add_test_headers)
  file(GENERATE OUTPUT ${PROJECT_BINARY_DIR}/test_headers.cc CONTENT "// Its headers are what it is for.\n")
  add_library(fastvlm_test_headers OBJECT ${PROJECT_BINARY_DIR}/test_headers.cc)
  fastvlm_test_flags(fastvlm_test_headers)
  target_precompile_headers(fastvlm_test_headers PRIVATE <gmock/gmock.h> <gtest/gtest.h>)
endfunction()

# fastvlm_test(name SOURCES ... DEPS ... [OWN_HEADERS]): a GoogleTest program, each case a ctest test.
# OWN_HEADERS: its definitions differ from those that GoogleTest's headers were compiled with.
# The program's name is the label of its tests.
function(fastvlm_test name)
  if(NOT FASTVLM_BUILD_TESTS)
    return()
  endif()
  cmake_parse_arguments(arg "OWN_HEADERS" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_DEPS})
  fastvlm_test_flags(${name})
  if(NOT arg_OWN_HEADERS)
    target_precompile_headers(${name} REUSE_FROM fastvlm_test_headers)
  endif()
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 120 NO_PRETTY_VALUES
    PROPERTIES LABELS ${name})
endfunction()

# fastvlm_kernel(name): the folder src/kernels/<name>. scalar.cc, variants.cc and
# pack.cc (if present) are baseline code; <isa>.cc gets the flags of its ISA.
# A batch build takes the variants.cc and pack.cc of all kernels together. It leaves out sources with flags of
# their own, and scalar.cc, whose local names are those of the other kernels too.
function(fastvlm_kernel name)
  set(dir ${PROJECT_SOURCE_DIR}/src/kernels/${name})
  set(sources)
  foreach(base scalar variants pack)
    if(EXISTS ${dir}/${base}.cc)
      list(APPEND sources ${dir}/${base}.cc)
    endif()
  endforeach()
  target_sources(fastvlm_kernels PRIVATE ${sources})
  set_source_files_properties(${dir}/scalar.cc PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  foreach(isa IN LISTS FASTVLM_ISAS)
    if(EXISTS ${dir}/${isa}.cc)
      target_sources(fastvlm_kernels PRIVATE ${dir}/${isa}.cc)
      set_source_files_properties(${dir}/${isa}.cc PROPERTIES
        COMPILE_OPTIONS "${FASTVLM_ISA_FLAGS_${isa}}" TARGET_DIRECTORY fastvlm_kernels)
    endif()
  endforeach()
  if(EXISTS ${dir}/test.cc)
    fastvlm_test(kernel_${name}_test SOURCES ${dir}/test.cc DEPS fastvlm_kernels)
  endif()
  if(FASTVLM_BUILD_BENCHMARKS AND EXISTS ${dir}/bench.cc)
    add_executable(kernel_${name}_bench ${dir}/bench.cc)
    target_link_libraries(kernel_${name}_bench PRIVATE fastvlm_kernels fastvlm_flags benchmark::benchmark_main)
  endif()
endfunction()
