#include "checkpoint/safetensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "base/printable.h"

namespace fastvlm {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the limit of the safetensors library
constexpr size_t kMaxRank = 8;

struct HeaderEntry {
  std::string name;
  std::string dtype;
  std::vector<uint64_t> shape;
  std::vector<uint64_t> offsets;  // begin and end, from the first byte after the header
  bool has_dtype = false, has_shape = false, has_offsets = false;
};

// Takes the header's fields while they are parsed, so that memory grows only with the number of
// tensors, and a name that occurs twice is noticed.
class HeaderHandler final : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::vector<HeaderEntry> TakeEntries() { return std::move(entries_); }
  const std::string& error() const { return error_; }

  bool null() override { return Fail("null"); }
  bool boolean(bool) override { return Fail("true or false"); }
  bool number_integer(number_integer_t) override { return Fail("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return Fail("a fraction"); }
  bool binary(binary_t&) override { return Fail("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == Place::kShape && entries_.back().shape.size() < kMaxRank) {
      entries_.back().shape.push_back(value);
      return true;
    }
    if (place_ == Place::kOffsets && entries_.back().offsets.size() < 2) {
      entries_.back().offsets.push_back(value);
      return true;
    }
    return Fail("a number");
  }

  bool string(string_t& value) override {
    if (place_ == Place::kMetadata) return true;
    if (place_ != Place::kTensor || field_ != "dtype") return Fail("a string");
    entries_.back().dtype = value;
    return true;
  }

  bool start_object(size_t) override {
    if (place_ == Place::kStart) {
      place_ = Place::kHeader;
    } else if (place_ == Place::kHeader) {
      place_ = field_ == "__metadata__" ? Place::kMetadata : Place::kTensor;
    } else {
      return Fail("an object");
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kTensor) {
      const HeaderEntry& entry = entries_.back();
      if (!entry.has_dtype || !entry.has_shape || entry.offsets.size() != 2) {
        error_ = fmt::format("tensor {}: expected dtype, shape and two data_offsets",
                             Printable(entry.name));
        return false;
      }
    }
    place_ = place_ == Place::kHeader ? Place::kEnd : Place::kHeader;
    return true;
  }

  bool start_array(size_t) override {
    if (place_ != Place::kTensor || field_ == "dtype") return Fail("a list");
    place_ = field_ == "shape" ? Place::kShape : Place::kOffsets;
    return true;
  }

  bool end_array() override {
    place_ = Place::kTensor;
    return true;
  }

  bool key(string_t& name) override {
    field_ = name;
    if (place_ == Place::kTensor) return StartField();
    if (place_ != Place::kHeader) return true;
    if (!names_.insert(name).second) {
      error_ = fmt::format("tensor {} is listed twice", Printable(name));
      return false;
    }
    if (name != "__metadata__") entries_.emplace_back().name = name;
    return true;
  }

  bool parse_error(size_t, const std::string&, const nlohmann::json::exception& error) override {
    error_ = fmt::format("not valid JSON: {}", Printable(error.what()));
    return false;
  }

 private:
  enum class Place { kStart, kHeader, kMetadata, kTensor, kShape, kOffsets, kEnd };

  bool StartField() {
    HeaderEntry& entry = entries_.back();
    bool* seen = field_ == "dtype"          ? &entry.has_dtype
                 : field_ == "shape"        ? &entry.has_shape
                 : field_ == "data_offsets" ? &entry.has_offsets
                                            : nullptr;
    if (seen == nullptr || *seen) {
      error_ = fmt::format("tensor {}: {} field {}", Printable(entry.name),
                           seen == nullptr ? "unknown" : "repeated", Printable(field_));
      return false;
    }
    *seen = true;
    return true;
  }

  bool Fail(const char* found) {
    const bool in_tensor = !entries_.empty() && place_ >= Place::kTensor;
    error_ = fmt::format("unexpected {} in {}{}", found, in_tensor ? "tensor " : "",
                         in_tensor                    ? Printable(entries_.back().name)
                         : place_ == Place::kMetadata ? "__metadata__"
                                                      : "the header");
    return false;
  }

  Place place_ = Place::kStart;
  std::string field_;  // the key read last
  std::vector<HeaderEntry> entries_;
  std::unordered_set<std::string> names_;
  std::string error_;
};

// 0 if the dtype is unknown or smaller than a byte.
uint64_t BytesOfStoredDtype(std::string_view dtype) {
  constexpr std::pair<std::string_view, uint64_t> kSizes[] = {
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1},
      {"U16", 2},  {"I16", 2}, {"F16", 2}, {"BF16", 2},    {"U32", 4},
      {"I32", 4},  {"F32", 4}, {"U64", 8}, {"I64", 8},     {"F64", 8}};
  for (const auto& [name, bytes] : kSizes) {
    if (name == dtype) return bytes;
  }
  return 0;
}

bool FindDtype(std::string_view name, Dtype* dtype) {
  for (const Dtype candidate : {Dtype::kF32, Dtype::kF16, Dtype::kBf16, Dtype::kI64}) {
    if (DtypeName(candidate) == name) {
      *dtype = candidate;
      return true;
    }
  }
  return false;
}

// A hint at what a file seems to be that cannot be safetensors.
std::string Hint(std::span<const uint8_t> file) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()),
                              std::min<size_t>(file.size(), 40));
  if (text.starts_with("version https://git-lfs")) {
    return " (it is a Git LFS pointer, not the weights: run `git lfs pull`)";
  }
  if (text.starts_with("PK\x03\x04")) return " (it looks like a zip or PyTorch archive)";
  if (text.starts_with("GGUF")) return " (it is a GGUF file)";
  return "";
}

Result<std::string_view> HeaderText(std::span<const uint8_t> file, const std::string& path) {
  if (file.size() < 8) {
    return Error(StatusCode::kDataError,
                 "{}: the file has {} bytes, a safetensors file has at least 8: download it again",
                 path, file.size());
  }
  uint64_t length = 0;
  for (size_t i = 0; i < 8; ++i) length |= uint64_t{file[i]} << (8 * i);
  if (length > kMaxHeaderBytes) {
    return Error(StatusCode::kDataError,
                 "{}: header of {} bytes, expected at most {}: not a safetensors file{}", path,
                 length, kMaxHeaderBytes, Hint(file));
  }
  if (length > file.size() - 8) {
    return Error(StatusCode::kDataError,
                 "{}: the header needs {} bytes, the file has {}: the file is truncated, download "
                 "it again",
                 path, length + 8, file.size());
  }
  return std::string_view(reinterpret_cast<const char*>(file.data()) + 8,
                          static_cast<size_t>(length));
}

// How many bytes dtype and shape call for. False on overflow.
bool ByteSize(const HeaderEntry& entry, uint64_t dtype_bytes, uint64_t* bytes) {
  uint64_t product = dtype_bytes;
  for (const uint64_t size : entry.shape) {
    if (size > INT64_MAX || __builtin_mul_overflow(product, size, &product)) return false;
  }
  *bytes = product;
  return product <= INT64_MAX;
}

Status CheckEntry(const HeaderEntry& entry, const std::string& path) {
  const auto [begin, end] = std::pair(entry.offsets[0], entry.offsets[1]);
  if (begin > end || end > INT64_MAX) {
    return Error(StatusCode::kDataError,
                 "{}: tensor {}: data_offsets [{}, {}] are not a range: the file is corrupt", path,
                 Printable(entry.name), begin, end);
  }
  const uint64_t dtype_bytes = BytesOfStoredDtype(entry.dtype);
  uint64_t bytes = 0;
  const std::vector<int64_t> shape(entry.shape.begin(), entry.shape.end());
  if (!ByteSize(entry, dtype_bytes, &bytes)) {
    return Error(StatusCode::kDataError, "{}: tensor {}: {} {} is larger than any file: corrupt",
                 path, Printable(entry.name), Printable(entry.dtype), ShapeText(shape));
  }
  if (dtype_bytes != 0 && end - begin != bytes) {
    return Error(StatusCode::kDataError,
                 "{}: tensor {}: {} {} needs {} bytes, its data_offsets [{}, {}] hold {}: the file "
                 "is corrupt",
                 path, Printable(entry.name), entry.dtype, ShapeText(shape), bytes, begin, end,
                 end - begin);
  }
  return {};
}

// Entries must be sorted by offset.
Status CheckCoverage(const std::vector<HeaderEntry>& entries, uint64_t data_start,
                     uint64_t file_bytes, const std::string& path) {
  const uint64_t data_bytes = file_bytes - data_start;
  uint64_t position = 0;
  for (const HeaderEntry& entry : entries) {
    const uint64_t begin = entry.offsets[0], end = entry.offsets[1];
    if (end > data_bytes) {
      return Error(StatusCode::kDataError,
                   "{}: the file has {} bytes, tensor {} needs up to {}: the file is truncated, "
                   "download it again",
                   path, file_bytes, Printable(entry.name), data_start + end);
    }
    if (begin != position) {
      return Error(
          StatusCode::kDataError,
          "{}: tensor {}: data begin at offset {}, expected {}: {} other tensors; the file "
          "is corrupt",
          path, Printable(entry.name), begin, position,
          begin < position ? "they overlap" : "there is a gap between them and");
    }
    position = end;
  }
  if (position != data_bytes) {
    return Error(StatusCode::kDataError,
                 "{}: the file has {} bytes, its tensors end at {}: the file is corrupt, download "
                 "it again",
                 path, file_bytes, data_start + position);
  }
  return {};
}

StoredTensor MakeTensor(HeaderEntry entry, const uint8_t* data, const std::string& path) {
  StoredTensor stored;
  stored.tensor.name = std::move(entry.name);
  stored.tensor.file = path;
  stored.tensor.shape.assign(entry.shape.begin(), entry.shape.end());
  stored.tensor.data = data + entry.offsets[0];
  stored.readable = FindDtype(entry.dtype, &stored.tensor.dtype);
  stored.dtype = std::move(entry.dtype);
  return stored;
}

}  // namespace

Result<std::vector<StoredTensor>> ParseSafetensors(std::span<const uint8_t> file,
                                                   const std::string& path) {
  FASTVLM_ASSIGN_OR_RETURN(const std::string_view header, HeaderText(file, path));
  HeaderHandler handler;
  if (!nlohmann::json::sax_parse(header, &handler)) {
    return Error(StatusCode::kDataError, "{}: bad safetensors header: {}", path, handler.error());
  }
  std::vector<HeaderEntry> entries = handler.TakeEntries();
  for (const HeaderEntry& entry : entries) FASTVLM_RETURN_IF_ERROR(CheckEntry(entry, path));
  std::sort(entries.begin(), entries.end(),
            [](const HeaderEntry& a, const HeaderEntry& b) { return a.offsets < b.offsets; });
  const uint64_t data_start = 8 + header.size();
  FASTVLM_RETURN_IF_ERROR(CheckCoverage(entries, data_start, file.size(), path));

  std::vector<StoredTensor> tensors;
  tensors.reserve(entries.size());
  for (HeaderEntry& entry : entries) {
    tensors.push_back(MakeTensor(std::move(entry), file.data() + data_start, path));
  }
  return tensors;
}

}  // namespace fastvlm
