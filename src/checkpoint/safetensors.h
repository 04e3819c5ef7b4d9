// The header of one safetensors file: 8 bytes of length, little endian, JSON, then the data.
// Source: the format section of the safetensors project's README.
#ifndef FASTVLM_CHECKPOINT_SAFETENSORS_H_
#define FASTVLM_CHECKPOINT_SAFETENSORS_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "checkpoint/tensor.h"

namespace fastvlm {

struct StoredTensor {
  Tensor tensor;          // tensor.dtype means something only if `readable`
  std::string dtype;      // as the file spells it
  bool readable = false;  // dtype is one of Dtype
  // Scales of a row if the tensor is kMlxAffine. Its shape is that of the words then, and its bits
  // and groups are unknown until the shape of the matrix is.
  int64_t mlx_groups = 0;
};

// Every tensor of a file, in the order of its data; views into `file`. `path` is for messages.
// Checked before anything is returned: lengths against the file's size, JSON, shapes, and that the
// data of the tensors follow each other without gap or overlap up to the end of the file, each as
// long as its dtype and shape say. kDataError for what fails that.
Result<std::vector<StoredTensor>> ParseSafetensors(std::span<const uint8_t> file,
                                                   const std::string& path);

}  // namespace fastvlm

#endif  // FASTVLM_CHECKPOINT_SAFETENSORS_H_
