// The body for every vector instruction set; an <isa>.cc includes it after its vector header.
namespace fastvlm::FASTVLM_SIMD {

void WidenF16(const uint16_t* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; i += kLanes) Store(y + i, LoadF16(x + i));
}

void WidenInt8ByLane(const int8_t* x, const float* scale, int64_t rows, float* y) {
  constexpr int kVectors = kAttentionPanel / kLanes;
  F32 factor[kVectors];
  for (int v = 0; v < kVectors; ++v) factor[v] = Load(scale + v * kLanes);
  for (int64_t r = 0; r < rows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      const int64_t at = r * kAttentionPanel + v * kLanes;
      Store(y + at, Mul(LoadInt8(x + at), factor[v]));
    }
  }
}

void WidenInt8ByRow(const int8_t* x, const float* scale, int64_t rows, float* y) {
  for (int64_t r = 0; r < rows; ++r) {
    const F32 factor = Set(scale[r]);
    for (int64_t l = 0; l < kAttentionPanel; l += kLanes) {
      const int64_t at = r * kAttentionPanel + l;
      Store(y + at, Mul(LoadInt8(x + at), factor));
    }
  }
}

}  // namespace fastvlm::FASTVLM_SIMD
