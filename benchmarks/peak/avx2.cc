#include "simd/vec_avx2.h"

#include "peak/generic.h"
