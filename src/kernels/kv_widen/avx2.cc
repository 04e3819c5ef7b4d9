#include "simd/vec_avx2.h"

#include "kernels/attention_f32/attention_f32.h"

#include "kernels/kv_widen/generic.h"
