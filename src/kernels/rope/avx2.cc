#include "simd/vec_avx2.h"

#include "kernels/rope/generic.h"
