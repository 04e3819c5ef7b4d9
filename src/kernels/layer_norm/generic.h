// The body for every vector instruction set; an <isa>.cc includes it after its vector header.
namespace fastvlm::FASTVLM_SIMD {

// sum_c (x[c] - shift)^power for power 1 or 2.
template <int kPower>
FASTVLM_INLINE float SumOfPowers(const float* x, int64_t channels, float shift) {
  const auto term = [shift](F32 a) {
    if constexpr (kPower == 1) return a;
    const F32 d = Sub(a, Set(shift));
    return Mul(d, d);
  };
  F32 even = Zero();
  F32 odd = Zero();
  int64_t c = 0;
  for (; c + 2 * kLanes <= channels; c += 2 * kLanes) {
    even = Add(even, term(Load(x + c)));
    odd = Add(odd, term(Load(x + c + kLanes)));
  }
  float sum = ReduceAdd(Add(even, odd));
  for (; c < channels; ++c) sum += kPower == 1 ? x[c] : (x[c] - shift) * (x[c] - shift);
  return sum;
}

void LayerNorm(const float* x, int64_t rows, int64_t channels, const float* gain, const float* bias,
               float eps, float* y) {
  const int64_t whole = channels / kLanes * kLanes;
  const ptrdiff_t rest = channels - whole;
  const float count = static_cast<float>(channels);
  for (int64_t i = 0; i < rows; ++i, x += channels, y += channels) {
    const float mean = SumOfPowers<1>(x, channels, 0) / count;
    const float variance = SumOfPowers<2>(x, channels, mean) / count;
    const F32 means = Set(mean);
    const F32 inverse = Div(Set(1.0f), Sqrt(Set(variance + eps)));
    const auto normal = [&](F32 a, F32 g, F32 b) {
      return MulAdd(Mul(Sub(a, means), inverse), g, b);
    };
    for (int64_t c = 0; c < whole; c += kLanes) {
      Store(y + c, normal(Load(x + c), Load(gain + c), Load(bias + c)));
    }
    StorePartial(y + whole, rest,
                 normal(LoadPartial(x + whole, rest), LoadPartial(gain + whole, rest),
                        LoadPartial(bias + whole, rest)));
  }
}

}  // namespace fastvlm::FASTVLM_SIMD
