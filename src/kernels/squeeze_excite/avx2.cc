#include "simd/vec_avx2.h"

#include "simd/math.h"

#include "kernels/squeeze_excite/generic.h"
