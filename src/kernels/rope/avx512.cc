#include "simd/vec_avx512.h"

#include "kernels/rope/generic.h"
