// A tensor as it lies in a checkpoint file.
#ifndef FASTVLM_CHECKPOINT_TENSOR_H_
#define FASTVLM_CHECKPOINT_TENSOR_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fastvlm {

enum class Dtype { kF32, kF16, kBf16, kI64 };

std::string_view DtypeName(Dtype dtype);  // "F32", "F16", "BF16", "I64", as safetensors spells them
int64_t DtypeBytes(Dtype dtype);

// A view into a memory-mapped file, row-major; valid as long as the Checkpoint it came from. The
// data may lie at any alignment.
struct Tensor {
  std::string name;  // in the file
  std::string file;  // path, for messages
  Dtype dtype = Dtype::kF32;
  std::vector<int64_t> shape;  // empty for a scalar
  const uint8_t* data = nullptr;

  int64_t elements() const;
  // Widens a float tensor exactly. out: [elements()].
  void CopyToF32(float* out) const;
  // The same for elements [first, first + count), which must exist. out: [count].
  void CopyToF32(int64_t first, int64_t count, float* out) const;
  std::vector<float> ToF32() const;
};

// "[96, 3, 3, 3]"
std::string ShapeText(const std::vector<int64_t>& shape);

}  // namespace fastvlm

#endif  // FASTVLM_CHECKPOINT_TENSOR_H_
