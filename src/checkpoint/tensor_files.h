// All tensors of a checkpoint directory: one safetensors file, or shards with an index.
#ifndef FASTVLM_CHECKPOINT_TENSOR_FILES_H_
#define FASTVLM_CHECKPOINT_TENSOR_FILES_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "checkpoint/safetensors.h"

namespace fastvlm {

struct TensorFiles {
  std::string path;  // model.safetensors or its index, for messages about the whole
  std::vector<MappedFile> files;
  std::vector<std::vector<uint8_t>> copies;     // of tensors that had to be rearranged
  std::map<std::string, StoredTensor> tensors;  // by name; views into `files` and `copies`
  int64_t file_bytes = 0;
};

// Opens model.safetensors or, if there is none, the shards model.safetensors.index.json lists. The
// index must agree with the shards: each tensor in the shard it names, none left out, none twice.
// Shards are plain file names in `directory`. Errors: kNotFound, kDataError, kIoError.
Result<TensorFiles> OpenTensorFiles(const std::string& directory);

}  // namespace fastvlm

#endif  // FASTVLM_CHECKPOINT_TENSOR_FILES_H_
