#include "simd/vec_avx512.h"

#include "simd/math.h"

#include "kernels/stem_conv_f32/generic.h"
