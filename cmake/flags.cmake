# Warnings, optimisation and sanitizers of every target of this project.
add_library(fastvlm_flags INTERFACE)
target_compile_options(fastvlm_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor $<$<BOOL:${FASTVLM_WERROR}>:-Werror>
  # Fused multiply-adds happen where the source says so and nowhere else: the
  # same rounding on every compiler and CPU.
  -ffp-contract=off)
target_include_directories(fastvlm_flags INTERFACE
  ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)

if(FASTVLM_SANITIZE)
  add_compile_options(-fsanitize=${FASTVLM_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC's sanitizers make these warnings cry wolf (GCC manual, "Instrumentation Options").
    target_compile_options(fastvlm_flags INTERFACE -Wno-maybe-uninitialized -Wno-clobbered -Wno-error)
  endif()
  add_link_options(-fsanitize=${FASTVLM_SANITIZE})
endif()

# Instead of CMake's own flags, and only these: what someone else has chosen stays. Line numbers are all the
# debug info that backtraces and profiles need. Sanitized builds are optimised little: their compile time
# would be several times that of a plain build.
if(PROJECT_IS_TOP_LEVEL AND CMAKE_CXX_FLAGS_RELWITHDEBINFO STREQUAL "-O2 -g -DNDEBUG")
  set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O3 -g1 -DNDEBUG")
  if(FASTVLM_SANITIZE)
    set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1 -DNDEBUG")
  endif()
endif()
