#include "simd/vec_avx512.h"

#include "simd/math.h"

#define FASTVLM_GEMM_TILE_M 12
#include "kernels/gemm_f32/generic.h"
