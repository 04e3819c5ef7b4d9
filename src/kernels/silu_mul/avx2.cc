#include "simd/vec_avx2.h"

#include "simd/math.h"

#include "kernels/silu_mul/generic.h"
