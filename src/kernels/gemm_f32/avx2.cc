#include "simd/vec_avx2.h"

#include "simd/math.h"

#define FASTVLM_GEMM_TILE_M 6
#include "kernels/gemm_f32/generic.h"
