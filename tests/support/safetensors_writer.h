// Writes safetensors files for tests, without any of the reader's code.
#ifndef FASTVLM_TESTS_SUPPORT_SAFETENSORS_WRITER_H_
#define FASTVLM_TESTS_SUPPORT_SAFETENSORS_WRITER_H_

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "base/float16.h"

namespace fastvlm {

struct TestTensor {
  std::string dtype = "F32";  // F32, F16 or BF16 if there are values
  std::vector<int64_t> shape;
  std::vector<float> values;         // none: zero bytes, which a sparse file need not store
  std::vector<uint32_t> words = {};  // of a U32 tensor

  int64_t elements() const {
    int64_t product = 1;
    for (const int64_t size : shape) product *= size;
    return product;
  }
  int64_t bytes() const {
    const int64_t size = dtype == "F32" || dtype == "U32"    ? 4
                         : dtype == "F16" || dtype == "BF16" ? 2
                         : dtype == "I64"                    ? 8
                                                             : 1;
    return elements() * size;
  }
};

using TestTensors = std::map<std::string, TestTensor>;

// 8 bytes of length, then `json`.
inline std::string SafetensorsPrefix(const std::string& json) {
  std::string prefix(8, '\0');
  for (size_t i = 0; i < 8; ++i) prefix[i] = static_cast<char>(json.size() >> (8 * i) & 0xff);
  return prefix + json;
}

// The prefix for tensors whose data follow in the order of the map.
inline std::string SafetensorsPrefix(const TestTensors& tensors) {
  std::string json = R"({"__metadata__":{"format":"pt"})";
  int64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    const int64_t end = offset + tensor.bytes();
    json += fmt::format(R"(,"{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", name,
                        tensor.dtype, fmt::join(tensor.shape, ","), offset, end);
    offset = end;
  }
  return SafetensorsPrefix(json + "}");
}

inline std::string EncodeSafetensors(const TestTensors& tensors) {
  std::string file = SafetensorsPrefix(tensors);
  for (const auto& [name, tensor] : tensors) {
    std::string data(static_cast<size_t>(tensor.bytes()), '\0');
    for (size_t i = 0; i < tensor.values.size(); ++i) {
      const float value = tensor.values[i];
      if (tensor.dtype == "F32") {
        std::memcpy(&data[4 * i], &value, 4);
      } else {
        const uint16_t bits = tensor.dtype == "F16" ? F16FromF32(value) : Bf16FromF32(value);
        std::memcpy(&data[2 * i], &bits, 2);
      }
    }
    if (!tensor.words.empty()) std::memcpy(data.data(), tensor.words.data(), data.size());
    file += data;
  }
  return file;
}

}  // namespace fastvlm

#endif  // FASTVLM_TESTS_SUPPORT_SAFETENSORS_WRITER_H_
