// All tensors of a checkpoint directory: one safetensors file, or shards with or without an index.
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
  // For messages about the whole: model.safetensors, its index, or the directory of shards without.
  std::string path;
  std::vector<MappedFile> files;
  std::vector<std::vector<uint8_t>> copies;     // of tensors that had to be rearranged
  std::map<std::string, StoredTensor> tensors;  // by name; views into `files` and `copies`
  int64_t file_bytes = 0;
};

// Opens the shards that model.safetensors.index.json lists, if all of them are here; else
// model.safetensors; else model-00001-of-N.safetensors and so on, if they are one complete set. A
// model.safetensors that a complete index does not list is not read, with a warning. The index must
// agree with the shards: each tensor in the shard it names, none left out, none twice. Shards are
// plain file names in `directory`. Errors: kNotFound, kDataError, kIoError.
Result<TensorFiles> OpenTensorFiles(const std::string& directory,
                                    std::vector<std::string>* warnings);

}  // namespace fastvlm

#endif  // FASTVLM_CHECKPOINT_TENSOR_FILES_H_
