#include "simd/vec_avx512.h"

#include "peak/generic.h"
