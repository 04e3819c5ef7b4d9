#include "simd/vec_avx512.h"

#include "kernels/rms_norm/generic.h"
