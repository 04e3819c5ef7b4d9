#include "simd/vec_avx512.h"

#include "simd/math.h"

#include "kernels/silu_mul/generic.h"
