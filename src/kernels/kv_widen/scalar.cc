#include "base/float16.h"
#include "kernels/attention_f32/attention_f32.h"
#include "kernels/kv_widen/kv_widen.h"

namespace fastvlm::scalar {

void WidenF16(const uint16_t* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; ++i) y[i] = F32FromF16(x[i]);
}

void WidenInt8ByLane(const int8_t* x, const float* scale, int64_t rows, float* y) {
  for (int64_t i = 0; i < rows * kAttentionPanel; ++i) {
    y[i] = static_cast<float>(x[i]) * scale[i % kAttentionPanel];
  }
}

void WidenInt8ByRow(const int8_t* x, const float* scale, int64_t rows, float* y) {
  for (int64_t i = 0; i < rows * kAttentionPanel; ++i) {
    y[i] = static_cast<float>(x[i]) * scale[i / kAttentionPanel];
  }
}

}  // namespace fastvlm::scalar
