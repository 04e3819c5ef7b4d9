// The body for every vector instruction set; an <isa>.cc includes it after its vector header.
namespace fastvlm::FASTVLM_SIMD {

void SiluMul(const float* gate, const float* up, int64_t count, float* y) {
  const int64_t whole = count / kLanes * kLanes;
  const ptrdiff_t rest = count - whole;
  for (int64_t i = 0; i < whole; i += kLanes) {
    Store(y + i, Mul(Silu(Load(gate + i)), Load(up + i)));
  }
  if (rest > 0) {
    StorePartial(y + whole, rest,
                 Mul(Silu(LoadPartial(gate + whole, rest)), LoadPartial(up + whole, rest)));
  }
}

}  // namespace fastvlm::FASTVLM_SIMD
