#include "simd/vec_avx2.h"

#include "simd/math.h"

#include "kernels/stem_conv_f32/generic.h"
