# Warnings, optimisation and sanitizers of every target of this project.
add_library(fastvlm_flags INTERFACE)
target_compile_options(fastvlm_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Werror
  # Fused multiply-adds happen where the source says so and nowhere else: the
  # same rounding on every compiler and CPU.
  -ffp-contract=off
  $<$<CONFIG:RelWithDebInfo>:-O3>)
target_include_directories(fastvlm_flags INTERFACE
  ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)

if(FASTVLM_SANITIZE)
  add_compile_options(-fsanitize=${FASTVLM_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${FASTVLM_SANITIZE})
endif()
