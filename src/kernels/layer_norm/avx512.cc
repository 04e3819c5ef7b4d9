#include "simd/vec_avx512.h"

#include "kernels/layer_norm/generic.h"
