// The body for every vector instruction set; an <isa>.cc includes it after its vector header.
namespace fastvlm::FASTVLM_SIMD {

// Independent sums enough to hide the latency of a multiply-add; returns the operations done.
double PeakFlops(long iterations, float* sink) {
  constexpr int kSums = 12;
  F32 sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = Set(static_cast<float>(i));
  const F32 a = Set(sink[0]);
  const F32 b = Set(sink[1]);
  for (long n = 0; n < iterations; ++n) {
    for (int i = 0; i < kSums; ++i) sums[i] = MulAdd(sums[i], a, b);
  }
  F32 total = Zero();
  for (int i = 0; i < kSums; ++i) total = Add(total, sums[i]);
  Store(sink, total);
  return 2.0 * kSums * kLanes * static_cast<double>(iterations);
}

float PeakRead(const float* data, size_t size) {
  constexpr int kSums = 8;
  F32 sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = Zero();
  for (size_t at = 0; at + kSums * kLanes <= size; at += kSums * kLanes) {
    for (int i = 0; i < kSums; ++i) {
      sums[i] = Add(sums[i], Load(data + at + static_cast<size_t>(i * kLanes)));
    }
  }
  F32 total = Zero();
  for (int i = 0; i < kSums; ++i) total = Add(total, sums[i]);
  return ReduceAdd(total);
}

}  // namespace fastvlm::FASTVLM_SIMD
