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
  kQ80,        // from here on GGML's blocks; see gguf_blocks.h
  kQ40,
  kQ41,
  kQ50,
  kQ51,
  kQ4K,
  kQ5K,
  kQ6K,
};

// "F32", "F16", "BF16", "I64", as safetensors spells them; "MLX"; "Q8_0", "Q4_K", as GGML does.
std::string_view DtypeName(Dtype dtype);
// Of one element; kMlxAffine has no whole number of them, and blocks have several elements.
int64_t DtypeBytes(Dtype dtype);

bool IsBlockDtype(Dtype dtype);    // one of GGML's
int64_t BlockValues(Dtype dtype);  // values of a block of such a type; 1 of others
int64_t BlockBytes(Dtype dtype);   // of a block of such a type, or of an element

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
  // A row is what belongs to one index of the first axis; a tensor of one axis is one row. Rows of
  // GGML's types begin with a block, and their last block is filled up.
  int64_t row_elements() const;
  int64_t row_bytes() const;  // not of kMlxAffine
  // "BF16", "Q8_0", "4-bit MLX (groups of 64)"
  std::string TypeText() const;
  // As f32: floats exactly, others by the formula of their type. out: [elements()].
  void CopyToF32(float* out) const;
  // The same for elements [first, first + count), which must exist. out: [count].
  void CopyToF32(int64_t first, int64_t count, float* out) const;
  std::vector<float> ToF32() const;

 private:
  void CopyBlocksToF32(int64_t first, int64_t count, float* out) const;
};

// "[96, 3, 3, 3]"
std::string ShapeText(const std::vector<int64_t>& shape);

}  // namespace fastvlm

#endif  // FASTVLM_CHECKPOINT_TENSOR_H_
