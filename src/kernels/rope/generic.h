// The body for every vector instruction set; an <isa>.cc includes it after its vector header.
namespace fastvlm::FASTVLM_SIMD {

void Rope(float* x, int64_t rows, int64_t stride, int64_t heads, int64_t head_dim,
          const float* table) {
  const int64_t half = head_dim / 2;
  const int64_t whole = half / kLanes * kLanes;
  const ptrdiff_t rest = half - whole;
  for (int64_t i = 0; i < rows; ++i) {
    const float* cosine = table + i * head_dim;
    const float* sine = cosine + half;
    for (int64_t h = 0; h < heads; ++h) {
      float* first = x + i * stride + h * head_dim;
      float* second = first + half;
      for (int64_t d = 0; d < whole; d += kLanes) {
        const F32 a = Load(first + d);
        const F32 b = Load(second + d);
        const F32 c = Load(cosine + d);
        const F32 s = Load(sine + d);
        Store(first + d, Sub(Mul(a, c), Mul(b, s)));
        Store(second + d, Add(Mul(b, c), Mul(a, s)));
      }
      if (rest == 0) continue;
      const F32 a = LoadPartial(first + whole, rest);
      const F32 b = LoadPartial(second + whole, rest);
      const F32 c = LoadPartial(cosine + whole, rest);
      const F32 s = LoadPartial(sine + whole, rest);
      StorePartial(first + whole, rest, Sub(Mul(a, c), Mul(b, s)));
      StorePartial(second + whole, rest, Add(Mul(b, c), Mul(a, s)));
    }
  }
}

}  // namespace fastvlm::FASTVLM_SIMD
