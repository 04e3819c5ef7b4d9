// GGUF, the file of llama.cpp and GGML: metadata by key, tensor descriptions, aligned data.
// Source: docs/gguf.md in the GGML repository; versions 2 and 3, little endian.
#ifndef FASTVLM_CHECKPOINT_GGUF_H_
#define FASTVLM_CHECKPOINT_GGUF_H_

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/status.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/tensor.h"

namespace fastvlm {

enum class GgufType : uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64
};

// Of equal elements. Numbers lie in `bytes`, little endian, one after the other; strings are in
// `strings`; arrays of arrays are read over and have neither.
struct GgufArray {
  GgufType type = GgufType::kUint8;
  uint64_t count = 0;
  std::span<const uint8_t> bytes;
  std::vector<std::string_view> strings;
};

// Unsigned, signed and float numbers of any size, and the others.
using GgufValue = std::variant<uint64_t, int64_t, double, bool, std::string_view, GgufArray>;

// Everything but the metadata's numbers is a view into the file.
struct Gguf {
  std::string path;
  uint32_t version = 0;
  std::map<std::string, GgufValue, std::less<>> metadata;
  std::vector<StoredTensor> tensors;  // in the order of the file; shapes have the rows first

  // nullptr if absent.
  const GgufValue* Find(std::string_view key) const;
  // Absent: an error without a default, else `absent`. Integers may have any type.
  Result<int64_t> Integer(std::string_view key, int64_t low, int64_t high) const;
  Result<int64_t> IntegerOr(std::string_view key, int64_t low, int64_t high, int64_t absent) const;
  Result<double> Number(std::string_view key, double low, double high) const;
  Result<double> PositiveOr(std::string_view key, double absent) const;
  Result<bool> BoolOr(std::string_view key, bool absent) const;
  Result<std::string> String(std::string_view key) const;
  Result<std::string> StringOr(std::string_view key, std::string_view absent) const;
  Result<const GgufArray*> Array(std::string_view key) const;
  // The numbers of an array of integers or of floats.
  Result<std::vector<double>> Numbers(std::string_view key) const;

  // kDataError: "<path>: <key>: expected <expected>, found <value>".
  Status Wrong(std::string_view key, std::string_view expected) const;
};

// Checked before anything is returned: every length and count against the bytes that are there,
// keys and names (UTF-8 is not asked for) for duplicates, and that each tensor's data is aligned,
// inside of the file and apart from the others'. Tensors of types that Dtype does not have are not
// `readable`, and only their beginning is checked. kDataError for what fails that, kUnsupported
// for other versions and byte orders. `path` is for messages.
Result<Gguf> ParseGguf(std::span<const uint8_t> file, const std::string& path);

// GGML's name and number of a type of tensor; "type 99" if it is none we know.
std::string GgmlTypeName(uint32_t type);
uint32_t GgmlTypeOf(Dtype dtype);  // UINT32_MAX if GGML has none

}  // namespace fastvlm

#endif  // FASTVLM_CHECKPOINT_GGUF_H_
