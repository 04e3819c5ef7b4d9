# Instruction sets a kernel may have a file for: <name>.cc is compiled with
# FASTVLM_ISA_FLAGS_<name>, and FASTVLM_HAVE_<NAME> tells variants.cc it exists.
set(FASTVLM_ISAS)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  list(APPEND FASTVLM_ISAS avx2 avx512 avx512_vnni)
  set(FASTVLM_ISA_FLAGS_avx2 -mavx2 -mfma -mf16c)
  set(FASTVLM_ISA_FLAGS_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c)
  set(FASTVLM_ISA_FLAGS_avx512_vnni ${FASTVLM_ISA_FLAGS_avx512} -mavx512vnni)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC's own AVX-512 headers trip these warnings (GCC bug 105593).
    list(APPEND FASTVLM_ISA_FLAGS_avx512 -Wno-maybe-uninitialized -Wno-uninitialized)
    list(APPEND FASTVLM_ISA_FLAGS_avx512_vnni -Wno-maybe-uninitialized -Wno-uninitialized)
  endif()
endif()
foreach(isa IN LISTS FASTVLM_ISAS)
  string(TOUPPER ${isa} upper)
  target_compile_definitions(fastvlm_flags INTERFACE FASTVLM_HAVE_${upper})
endforeach()
