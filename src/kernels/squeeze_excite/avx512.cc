#include "simd/vec_avx512.h"

#include "simd/math.h"

#include "kernels/squeeze_excite/generic.h"
