// A hostile GGUF file: the header, the decoder and the tokenizer it describes, and the same bytes
// as an image half. Values are read as loading would.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/decoder_reader.h"
#include "checkpoint/gguf.h"
#include "checkpoint/gguf_model.h"
#include "checkpoint/layout.h"
#include "checkpoint/vision_reader.h"
#include "checkpoint/weight_reader.h"

namespace fastvlm {
namespace {

// Small enough that reading all values does not slow the search down.
constexpr int64_t kMaxElements = 1 << 20;

void ReadDecoderHalf(const GgufFile& file) {
  ModelConfig config;
  if (!ReadGgufDecoderConfig(file, &config).ok()) return;
  WeightReader reader(file.tensors, GgufDecoderLayout());
  std::vector<std::string> warnings;
  const auto decoder = ReadDecoder(&reader, config.decoder, &warnings);
  if (!decoder.ok()) return;
  for (const DecoderLayerTensors& layer : decoder->layers) {
    if (layer.down.weight.elements() <= kMaxElements) {
      static_cast<void>(layer.down.weight.ToF32());
    }
  }
  static_cast<void>(reader.CheckAllTaken(&warnings));
}

void ReadVisionHalf(GgufFile file) {
  VisionConfig config;
  if (!PrepareGgufVision(&file, &config).ok()) return;
  static_cast<void>(ReadGgufCalibration(file));
  WeightReader reader(file.tensors, GgufVisionLayout());
  const auto vision = ReadVision(&reader, &config);
  if (!vision.ok()) return;
  static_cast<void>(vision->squeeze.weight.ToF32());
  static_cast<void>(ReadProjector(&reader, config.feature_channels, 32));
}

void Read(std::span<const uint8_t> bytes) {
  GgufFile file;
  auto gguf = ParseGguf(bytes, "fuzz");
  if (!gguf.ok()) return;
  file.gguf = std::move(*gguf);
  file.tensors.path = "fuzz";
  for (const StoredTensor& stored : file.gguf.tensors) {
    const Tensor& tensor = stored.tensor;
    if (stored.readable && tensor.dtype != Dtype::kI64 && tensor.elements() <= kMaxElements) {
      static_cast<void>(tensor.ToF32());
    }
    file.tensors.tensors.emplace(tensor.name, stored);
  }
  static_cast<void>(ReadGgufTokenizer(file.gguf));
  ReadDecoderHalf(file);
  ReadVisionHalf(std::move(file));
}

}  // namespace
}  // namespace fastvlm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fastvlm::Read({data, size});
  return 0;
}
