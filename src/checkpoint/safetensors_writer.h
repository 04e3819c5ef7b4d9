// Writes safetensors files (safetensors.h has the format).
#ifndef FASTVLM_CHECKPOINT_SAFETENSORS_WRITER_H_
#define FASTVLM_CHECKPOINT_SAFETENSORS_WRITER_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "checkpoint/tensor.h"

namespace fastvlm {

struct OutputTensor {
  std::string name;  // no two may be equal
  Dtype dtype = Dtype::kF32;
  std::vector<int64_t> shape;
  std::span<const uint8_t> data;  // as many bytes as dtype and shape say
};

// Data lies in the file in the order of `tensors`, from a multiple of 8 bytes on; the metadata says
// {"format": "pt"}, which transformers asks for. Written atomically; kIoError as
// WriteFileAtomically.
Status WriteSafetensors(const std::string& path, std::span<const OutputTensor> tensors);

}  // namespace fastvlm

#endif  // FASTVLM_CHECKPOINT_SAFETENSORS_WRITER_H_
