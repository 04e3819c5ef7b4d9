#include "checkpoint/decoder_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace fastvlm {
namespace {

// Rows of a stored head compared with the embedding it is tied to, spread over the vocabulary:
// comparing all of them would read the largest tensor of the file only to drop it.
constexpr int64_t kComparedRows = 1024;

bool SameRows(const Tensor& a, const Tensor& b) {
  const int64_t rows = a.shape[0];
  const int64_t columns = a.shape[1];
  std::vector<float> row_a(static_cast<size_t>(columns));
  std::vector<float> row_b(row_a.size());
  const int64_t compared = std::min(rows, kComparedRows);
  for (int64_t i = 0; i < compared; ++i) {
    const int64_t row = i * rows / compared;
    a.CopyToF32(row * columns, columns, row_a.data());
    b.CopyToF32(row * columns, columns, row_b.data());
    if (std::memcmp(row_a.data(), row_b.data(), row_a.size() * sizeof(float)) != 0) return false;
  }
  return true;
}

Result<DecoderLayerTensors> ReadLayer(WeightReader* reader, const std::string& layer,
                                      const DecoderConfig& config) {
  const int64_t hidden = config.hidden;
  const int64_t q_width = config.heads * config.head_dim;
  const int64_t kv_width = config.kv_heads * config.head_dim;
  DecoderLayerTensors tensors;
  FASTVLM_ASSIGN_OR_RETURN(tensors.input_norm, reader->TakeValues(layer + "input_norm", {hidden}));
  FASTVLM_ASSIGN_OR_RETURN(tensors.q, reader->TakeLinear(layer + "q", q_width, hidden));
  FASTVLM_ASSIGN_OR_RETURN(tensors.k, reader->TakeLinear(layer + "k", kv_width, hidden));
  FASTVLM_ASSIGN_OR_RETURN(tensors.v, reader->TakeLinear(layer + "v", kv_width, hidden));
  FASTVLM_ASSIGN_OR_RETURN(tensors.o, reader->TakeLinearWithoutBias(layer + "o", hidden, q_width));
  FASTVLM_ASSIGN_OR_RETURN(tensors.post_attention_norm,
                           reader->TakeValues(layer + "post_attention_norm", {hidden}));
  FASTVLM_ASSIGN_OR_RETURN(
      tensors.gate, reader->TakeLinearWithoutBias(layer + "gate", config.intermediate, hidden));
  FASTVLM_ASSIGN_OR_RETURN(
      tensors.up, reader->TakeLinearWithoutBias(layer + "up", config.intermediate, hidden));
  FASTVLM_ASSIGN_OR_RETURN(
      tensors.down, reader->TakeLinearWithoutBias(layer + "down", hidden, config.intermediate));
  return tensors;
}

// Published files of tied models hold a copy of the embedding as head; transformers ignores it.
Status ReadTiedHead(WeightReader* reader, const std::vector<int64_t>& shape,
                    DecoderTensors* tensors, std::vector<std::string>* warnings) {
  tensors->head = tensors->embedding;
  if (!reader->Has("decoder.head")) return {};
  FASTVLM_ASSIGN_OR_RETURN(const Tensor stored, reader->TakeUncounted("decoder.head", shape));
  if (!SameRows(stored, tensors->embedding)) {
    warnings->push_back(fmt::format(
        "{}: tensor {} differs from {}, but the config says that they are tied: the embedding is "
        "used for both",
        stored.file, stored.name, tensors->embedding.name));
  }
  return {};
}

}  // namespace

Result<DecoderTensors> ReadDecoder(WeightReader* reader, const DecoderConfig& config,
                                   std::vector<std::string>* warnings) {
  DecoderTensors tensors;
  const std::vector<int64_t> vocabulary = {config.vocab_rows, config.hidden};
  FASTVLM_ASSIGN_OR_RETURN(tensors.embedding, reader->Take("decoder.embedding", vocabulary));
  for (int64_t i = 0; i < config.layers; ++i) {
    FASTVLM_ASSIGN_OR_RETURN(DecoderLayerTensors layer,
                             ReadLayer(reader, fmt::format("decoder.layers.{}.", i), config));
    tensors.layers.push_back(std::move(layer));
  }
  FASTVLM_ASSIGN_OR_RETURN(tensors.final_norm,
                           reader->TakeValues("decoder.final_norm", {config.hidden}));
  if (config.tied_embeddings) {
    FASTVLM_RETURN_IF_ERROR(ReadTiedHead(reader, vocabulary, &tensors, warnings));
  } else {
    FASTVLM_ASSIGN_OR_RETURN(tensors.head, reader->Take("decoder.head", vocabulary));
  }
  return tensors;
}

}  // namespace fastvlm
