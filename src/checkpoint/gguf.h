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

// All elements have one type. Numbers lie in `bytes`, little endian, one after the other; strings
// are in `strings`. The elements of arrays of arrays are skipped: such an array has neither.
struct GgufArray {
  GgufType type = GgufType::kUint8;
  uint64_t count = 0;
  std::span<const uint8_t> bytes;
  std::vector<std::string_view> strings;
};

// Numbers of any size become the widest one of their kind: unsigned, signed or floating point.
using GgufValue = std::variant<uint64_t, int64_t, double, bool, std::string_view, GgufArray>;

// Everything but the metadata's numbers is a view into the file.
struct Gguf {
  std::string path;
  uint32_t version = 0;
  std::map<std::string, GgufValue, std::less<>> metadata;
  std::vector<StoredTensor> tensors;  // in the order of the file; row-major shapes, rows first

  // nullptr if absent.
  const GgufValue* Find(std::string_view key) const;
  // The value of a key. If there is none, functions without `absent` give an error. Integers may
  // have any type.
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

// Everything is checked before anything is returned. Lengths and counts must fit the bytes that are
// there, keys and names must differ (they need not be UTF-8), and the data of each tensor must be
// aligned, inside of the file and apart from that of the others. A tensor of a type that Dtype does
// not have is not `readable`; of its data only the beginning is checked. kDataError if a check
// fails, kUnsupported for other versions and byte orders. `path` is for messages.
Result<Gguf> ParseGguf(std::span<const uint8_t> file, const std::string& path);

}  // namespace fastvlm

#endif  // FASTVLM_CHECKPOINT_GGUF_H_
