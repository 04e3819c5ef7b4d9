#include "checkpoint/gguf_writer.h"

#include "base/check.h"
#include "checkpoint/ggml_type.h"

namespace fastvlm {
namespace {

constexpr int64_t kAlignment32 = 32;

int64_t Padding(int64_t bytes) { return (kAlignment32 - bytes % kAlignment32) % kAlignment32; }

template <typename T>
void Append(std::string* out, T value) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void AppendString(std::string* out, std::string_view text) {
  Append(out, static_cast<uint64_t>(text.size()));
  out->append(text);
}

template <typename T>
void AppendArray(std::string* out, GgufType type, std::span<const T> values) {
  Append(out, static_cast<uint32_t>(type));
  Append(out, static_cast<uint64_t>(values.size()));
  for (const T value : values) Append(out, value);
}

}  // namespace

void GgufWriter::SetKey(std::string_view key, GgufType type) {
  AppendString(&metadata_, key);
  Append(&metadata_, static_cast<uint32_t>(type));
  ++values_;
}

void GgufWriter::SetString(std::string_view key, std::string_view value) {
  SetKey(key, GgufType::kString);
  AppendString(&metadata_, value);
}

void GgufWriter::SetUint32(std::string_view key, uint32_t value) {
  SetKey(key, GgufType::kUint32);
  Append(&metadata_, value);
}

void GgufWriter::SetFloat32(std::string_view key, float value) {
  SetKey(key, GgufType::kFloat32);
  Append(&metadata_, value);
}

void GgufWriter::SetFloat64(std::string_view key, double value) {
  SetKey(key, GgufType::kFloat64);
  Append(&metadata_, value);
}

void GgufWriter::SetBool(std::string_view key, bool value) {
  SetKey(key, GgufType::kBool);
  Append(&metadata_, static_cast<uint8_t>(value));
}

void GgufWriter::SetStrings(std::string_view key, std::span<const std::string> values) {
  SetKey(key, GgufType::kArray);
  Append(&metadata_, static_cast<uint32_t>(GgufType::kString));
  Append(&metadata_, static_cast<uint64_t>(values.size()));
  for (const std::string& value : values) AppendString(&metadata_, value);
}

void GgufWriter::SetInt32s(std::string_view key, std::span<const int32_t> values) {
  SetKey(key, GgufType::kArray);
  AppendArray(&metadata_, GgufType::kInt32, values);
}

void GgufWriter::SetUint32s(std::string_view key, std::span<const uint32_t> values) {
  SetKey(key, GgufType::kArray);
  AppendArray(&metadata_, GgufType::kUint32, values);
}

void GgufWriter::SetFloat32s(std::string_view key, std::span<const float> values) {
  SetKey(key, GgufType::kArray);
  AppendArray(&metadata_, GgufType::kFloat32, values);
}

void GgufWriter::SetFloat64s(std::string_view key, std::span<const double> values) {
  SetKey(key, GgufType::kArray);
  AppendArray(&metadata_, GgufType::kFloat64, values);
}

void GgufWriter::AddTensor(std::string_view name, Dtype dtype, const std::vector<int64_t>& shape) {
  Tensor tensor;
  tensor.dtype = dtype;
  tensor.shape = shape;
  FASTVLM_CHECK(!shape.empty() && shape.back() % BlockValues(dtype) == 0);
  AppendString(&tensors_, name);
  Append(&tensors_, static_cast<uint32_t>(shape.size()));
  for (size_t i = shape.size(); i-- > 0;) Append(&tensors_, static_cast<uint64_t>(shape[i]));
  Append(&tensors_, GgmlTypeOf(dtype));
  Append(&tensors_, static_cast<uint64_t>(data_bytes_));
  sizes_.push_back(tensor.bytes());
  data_bytes_ += tensor.bytes() + Padding(tensor.bytes());
}

std::string GgufWriter::Header() const {
  std::string header = "GGUF";
  Append(&header, uint32_t{3});
  Append(&header, static_cast<uint64_t>(sizes_.size()));
  Append(&header, values_);
  header += metadata_ + tensors_;
  header.append(static_cast<size_t>(Padding(static_cast<int64_t>(header.size()))), '\0');
  return header;
}

int64_t GgufWriter::file_bytes() const {
  return static_cast<int64_t>(Header().size()) + data_bytes_;
}

Status GgufWriter::Start(FileReplacement* file) {
  file_ = file;
  const std::string header = Header();
  return file_->Write({reinterpret_cast<const uint8_t*>(header.data()), header.size()});
}

Status GgufWriter::WriteData(std::span<const uint8_t> bytes) {
  FASTVLM_CHECK(!complete());
  written_ += static_cast<int64_t>(bytes.size());
  FASTVLM_CHECK(written_ <= sizes_[next_]);
  FASTVLM_RETURN_IF_ERROR(file_->Write(bytes));
  if (written_ < sizes_[next_]) return {};
  ++next_;
  constexpr uint8_t kZeros[kAlignment32] = {};
  return file_->Write({kZeros, static_cast<size_t>(Padding(std::exchange(written_, 0)))});
}

}  // namespace fastvlm
