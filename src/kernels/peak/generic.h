// The body for every vector instruction set; an <isa>.cc includes it after its vector header.
namespace fastvlm::FASTVLM_SIMD {

// Independent sums enough to hide the latency of a multiply-add; returns the operations done.
double PeakF32(long iterations, float* sink) {
  constexpr int kSums = 12;
  F32 sums[kSums];
#pragma GCC unroll 12
  for (int i = 0; i < kSums; ++i) sums[i] = Set(static_cast<float>(i));
  const F32 a = Set(sink[0]);
  const F32 b = Set(sink[1]);
  for (long n = 0; n < iterations; ++n) {
#pragma GCC unroll 12
    for (int i = 0; i < kSums; ++i) sums[i] = MulAdd(sums[i], a, b);
  }
  F32 total = Zero();
  for (int i = 0; i < kSums; ++i) total = Add(total, sums[i]);
  Store(sink, total);
  return 2.0 * kSums * kLanes * static_cast<double>(iterations);
}

// Four places at once, which keeps more reads under way than one.
float PeakRead(const float* data, size_t size) {
  constexpr int kStreams = 4;
  constexpr int kStep = 2 * kLanes;
  F32 sums[kStreams][2];
  for (int s = 0; s < kStreams; ++s) sums[s][0] = sums[s][1] = Zero();
  const size_t part = size / kStreams;
  for (size_t at = 0; at + kStep <= part; at += kStep) {
    for (int s = 0; s < kStreams; ++s) {
      const float* p = data + static_cast<size_t>(s) * part + at;
      Prefetch(p + 32 * kStep);
      sums[s][0] = Add(sums[s][0], Load(p));
      sums[s][1] = Add(sums[s][1], Load(p + kLanes));
    }
  }
  F32 total = Zero();
  for (int s = 0; s < kStreams; ++s) total = Add(total, Add(sums[s][0], sums[s][1]));
  return ReduceAdd(total);
}

}  // namespace fastvlm::FASTVLM_SIMD
