// A tensor as it lies in a checkpoint file.
#ifndef FASTVLM_CHECKPOINT_TENSOR_H_
#define FASTVLM_CHECKPOINT_TENSOR_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fastvlm {

enum class Dtype {
  kF32,
  kF16,
  kBf16,
  kI64,
  kMlxAffine,  // integers of a few bits; see MlxAffine
};

// "F32", "F16", "BF16", "I64", as safetensors spells them; "MLX".
std::string_view DtypeName(Dtype dtype);
// Of one element; kMlxAffine has no whole number of them.
int64_t DtypeBytes(Dtype dtype);

// What belongs to the integers of a kMlxAffine tensor; mlx_affine.h has the format.
struct MlxAffine {
  int bits = 0;               // of one integer
  int64_t group = 0;          // values that share a scale and a bias
  Dtype dtype = Dtype::kF16;  // of scales and biases: a float
  const uint8_t* scales = nullptr;
  const uint8_t* biases = nullptr;
};

// A view into a memory-mapped file, row-major; valid as long as the Checkpoint it came from. The
// data may lie at any alignment.
struct Tensor {
  std::string name;  // in the file
  std::string file;  // path, for messages
  Dtype dtype = Dtype::kF32;
  std::vector<int64_t> shape;  // empty for a scalar
  const uint8_t* data = nullptr;
  std::optional<MlxAffine> affine;  // if dtype is kMlxAffine

  int64_t elements() const;
  int64_t bytes() const;  // of `data`
  // "BF16", "4-bit MLX (groups of 64)"
  std::string TypeText() const;
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
