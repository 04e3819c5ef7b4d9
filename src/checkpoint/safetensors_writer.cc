#include "checkpoint/safetensors_writer.h"

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/file.h"

namespace fastvlm {
namespace {

int64_t ByteSize(const OutputTensor& tensor) {
  int64_t bytes = DtypeBytes(tensor.dtype);
  for (const int64_t size : tensor.shape) bytes *= size;
  return bytes;
}

}  // namespace

Status WriteSafetensors(const std::string& path, std::span<const OutputTensor> tensors) {
  nlohmann::ordered_json header;
  header["__metadata__"]["format"] = "pt";
  int64_t offset = 0;
  for (const OutputTensor& tensor : tensors) {
    const int64_t end = offset + ByteSize(tensor);
    FASTVLM_CHECK(static_cast<int64_t>(tensor.data.size()) == end - offset);
    header[tensor.name] = {{"dtype", DtypeName(tensor.dtype)},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  std::string prefix(8, '\0');
  for (size_t i = 0; i < 8; ++i) prefix[i] = static_cast<char>(text.size() >> (8 * i) & 0xff);
  prefix += text;
  std::vector<std::span<const uint8_t>> parts;
  parts.emplace_back(reinterpret_cast<const uint8_t*>(prefix.data()), prefix.size());
  for (const OutputTensor& tensor : tensors) parts.push_back(tensor.data);
  return WriteFileAtomically(path, parts);
}

}  // namespace fastvlm
