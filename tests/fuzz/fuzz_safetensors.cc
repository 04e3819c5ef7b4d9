// A hostile model.safetensors: the header, the layout of its names, and the encoder and projector
// that its shapes describe, MLX's quantization included.
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "checkpoint/decoder_reader.h"
#include "checkpoint/layout.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/vision_reader.h"
#include "checkpoint/weight_reader.h"

namespace fastvlm {
namespace {

// The decoder of the committed corpus, whose matrices have 32 columns.
DecoderConfig TinyDecoder() {
  DecoderConfig config;
  config.hidden = config.intermediate = 32;
  config.layers = 1;
  config.heads = config.kv_heads = 1;
  config.head_dim = 32;
  config.vocab_rows = 3;
  config.tied_embeddings = true;
  return config;
}

void ReadModel(TensorFiles& files) {
  Result<Layout> layout = FindLayout(files);
  if (!layout.ok()) return;
  if (layout->mlx && !PrepareMlxTensors(&files).ok()) return;
  WeightReader reader(files, std::move(*layout));
  VisionConfig vision;
  const auto encoder = ReadVision(&reader, &vision);
  const DecoderConfig config = TinyDecoder();
  const auto projector = ReadProjector(&reader, 32, config.hidden);
  if (projector.ok()) static_cast<void>(projector->first.weight.ToF32());
  std::vector<std::string> warnings;
  const auto decoder = ReadDecoder(&reader, config, &warnings);
  if (decoder.ok()) {
    for (const DecoderLayerTensors& layer : decoder->layers) {
      for (const LinearTensors* linear : {&layer.q, &layer.o, &layer.gate, &layer.down}) {
        static_cast<void>(linear->weight.ToF32());
      }
    }
  }
  static_cast<void>(reader.CheckAllTaken(&warnings));
}

}  // namespace
}  // namespace fastvlm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fastvlm::TensorFiles files;
  files.path = "fuzz";
  auto tensors = fastvlm::ParseSafetensors(std::span(data, size), files.path);
  if (!tensors.ok()) return 0;
  for (fastvlm::StoredTensor& stored : *tensors) {
    if (stored.readable && stored.tensor.dtype != fastvlm::Dtype::kI64) {
      static_cast<void>(stored.tensor.ToF32());
    }
    files.tensors.emplace(stored.tensor.name, std::move(stored));
  }
  fastvlm::ReadModel(files);
  return 0;
}
