// What QuantizeModel writes: the tensors of both files, the type of each, and the metadata.
#ifndef FASTVLM_CONVERT_QUANTIZE_PLAN_H_
#define FASTVLM_CONVERT_QUANTIZE_PLAN_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf_writer.h"
#include "fastvlm/quantize.h"
#include "text/vocabulary.h"

namespace fastvlm {

struct PlannedTensor {
  std::string name;
  Dtype dtype = Dtype::kF32;
  std::vector<int64_t> shape;  // in the file
  int64_t rows = 1;
  int64_t k = 0;                   // values of a row, without those that fill up its last block
  const Tensor* source = nullptr;  // where the values come from; null: they are in `values`
  std::vector<float> values;

  int64_t row_bytes() const;  // in the file
};

// The tensors of model.gguf and of mmproj.gguf. Their sources are views into the checkpoint.
std::vector<PlannedTensor> PlanDecoder(const Checkpoint& checkpoint, WeightFormat format);
// With a calibration, the matrices that it keeps are BF16.
std::vector<PlannedTensor> PlanVision(const Checkpoint& checkpoint, WeightFormat format,
                                      const Calibration* calibration);

// Sets the keys of llama.cpp's architecture "qwen2", those of the tokenizer, and our own.
Status SetDecoderMetadata(const Checkpoint& checkpoint, const Vocabulary& vocabulary,
                          const std::string& name, const std::string& chat_template,
                          WeightFormat format, GgufWriter* writer);
// calibration: may be null.
void SetVisionMetadata(const Checkpoint& checkpoint, const std::string& name, WeightFormat format,
                       const Calibration* calibration, GgufWriter* writer);

}  // namespace fastvlm

#endif  // FASTVLM_CONVERT_QUANTIZE_PLAN_H_
