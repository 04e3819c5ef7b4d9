// The body for every vector instruction set; an <isa>.cc includes it after its vector header.
namespace fastvlm::FASTVLM_SIMD {

void Softmax(float* x, int64_t rows, int64_t columns, int64_t stride, float scale) {
  const F32 scales = Set(scale);
  const int64_t whole = columns / kLanes * kLanes;
  const ptrdiff_t rest = columns - whole;
  for (int64_t i = 0; i < rows; ++i) {
    float* row = x + i * stride;
    // The lanes beyond the row count as its first element: they cannot change the maximum.
    F32 max = Set(row[0]);
    for (int64_t j = 0; j < whole; j += kLanes) max = Max(max, Load(row + j));
    float row_max = ReduceMax(max);
    for (int64_t j = whole; j < columns; ++j) row_max = row[j] > row_max ? row[j] : row_max;
    const F32 shift = Set(-scale * row_max);

    F32 sums = Zero();
    for (int64_t j = 0; j < whole; j += kLanes) {
      const F32 e = Exp(MulAdd(Load(row + j), scales, shift));
      Store(row + j, e);
      sums = Add(sums, e);
    }
    float sum = ReduceAdd(sums);
    if (rest > 0) {
      StorePartial(row + whole, rest, Exp(MulAdd(LoadPartial(row + whole, rest), scales, shift)));
      for (int64_t j = whole; j < columns; ++j) sum += row[j];
    }

    const F32 inverse = Set(1.0f / sum);
    for (int64_t j = 0; j < whole; j += kLanes) Store(row + j, Mul(Load(row + j), inverse));
    if (rest > 0) StorePartial(row + whole, rest, Mul(LoadPartial(row + whole, rest), inverse));
  }
}

}  // namespace fastvlm::FASTVLM_SIMD
