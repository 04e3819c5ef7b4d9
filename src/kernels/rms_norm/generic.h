// The body for every vector instruction set; an <isa>.cc includes it after its vector header.
namespace fastvlm::FASTVLM_SIMD {

void RmsNorm(const float* x, int64_t rows, int64_t hidden, const float* gain, float eps, float* y) {
  const int64_t whole = hidden / kLanes * kLanes;
  const ptrdiff_t rest = hidden - whole;
  for (int64_t i = 0; i < rows; ++i, x += hidden, y += hidden) {
    F32 even = Zero();
    F32 odd = Zero();
    int64_t c = 0;
    for (; c + 2 * kLanes <= hidden; c += 2 * kLanes) {
      even = MulAdd(Load(x + c), Load(x + c), even);
      odd = MulAdd(Load(x + c + kLanes), Load(x + c + kLanes), odd);
    }
    float squares = ReduceAdd(Add(even, odd));
    for (; c < hidden; ++c) squares += x[c] * x[c];

    const F32 mean = Set(squares / static_cast<float>(hidden) + eps);
    const F32 inverse = Div(Set(1.0f), Sqrt(mean));
    for (c = 0; c < whole; c += kLanes) {
      Store(y + c, Mul(Mul(Load(x + c), inverse), Load(gain + c)));
    }
    StorePartial(y + whole, rest,
                 Mul(Mul(LoadPartial(x + whole, rest), inverse), LoadPartial(gain + whole, rest)));
  }
}

}  // namespace fastvlm::FASTVLM_SIMD
