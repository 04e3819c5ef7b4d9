// Writes GGUF version 3 (gguf.h has the format), piece by piece: files are larger than memory.
#ifndef FASTVLM_CHECKPOINT_GGUF_WRITER_H_
#define FASTVLM_CHECKPOINT_GGUF_WRITER_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "checkpoint/gguf.h"
#include "checkpoint/tensor.h"

namespace fastvlm {

// Metadata and tensors first, then Start, then the data of all tensors in the order they were
// added. Keys and names must not repeat.
class GgufWriter {
 public:
  void SetString(std::string_view key, std::string_view value);
  void SetUint32(std::string_view key, uint32_t value);
  void SetFloat32(std::string_view key, float value);
  void SetFloat64(std::string_view key, double value);
  void SetBool(std::string_view key, bool value);
  void SetStrings(std::string_view key, std::span<const std::string> values);
  void SetInt32s(std::string_view key, std::span<const int32_t> values);
  void SetUint32s(std::string_view key, std::span<const uint32_t> values);
  void SetFloat32s(std::string_view key, std::span<const float> values);
  void SetFloat64s(std::string_view key, std::span<const double> values);

  // shape: rows first; rows of block types are whole blocks.
  void AddTensor(std::string_view name, Dtype dtype, const std::vector<int64_t>& shape);

  int64_t file_bytes() const;

  // Writes everything but the data. `file` must outlive the writer's use.
  Status Start(FileReplacement* file);
  // The next bytes of data, which may end anywhere but must not go beyond a tensor's end.
  Status WriteData(std::span<const uint8_t> bytes);
  // Whether the data of all tensors has been written.
  bool complete() const { return next_ == sizes_.size(); }

 private:
  std::string Header() const;
  void SetKey(std::string_view key, GgufType type);

  std::string metadata_;
  std::string tensors_;
  uint64_t values_ = 0;
  int64_t data_bytes_ = 0;
  std::vector<int64_t> sizes_;  // of each tensor's data, bytes

  FileReplacement* file_ = nullptr;
  size_t next_ = 0;      // tensor whose data comes next
  int64_t written_ = 0;  // bytes of it that are written
};

}  // namespace fastvlm

#endif  // FASTVLM_CHECKPOINT_GGUF_WRITER_H_
