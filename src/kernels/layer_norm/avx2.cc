#include "simd/vec_avx2.h"

#include "kernels/layer_norm/generic.h"
