#include "simd/vec_avx2.h"

#include "simd/math.h"

#include "kernels/depthwise_f32/generic.h"
