#include "simd/vec_avx512.h"

#include "kernels/attention_f32/attention_f32.h"

#include "kernels/kv_widen/generic.h"
