#include "simd/vec_avx512.h"

#include "simd/math.h"

#include "kernels/depthwise_f32/generic.h"
