#include "simd/vec_avx2.h"

#include "kernels/rms_norm/generic.h"
