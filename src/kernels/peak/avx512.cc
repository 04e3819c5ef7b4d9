#include "simd/vec_avx512.h"

#include "kernels/peak/generic.h"
