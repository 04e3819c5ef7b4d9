// A published FastVLM directory, opened without converting it.
#ifndef FASTVLM_CHECKPOINT_CHECKPOINT_H_
#define FASTVLM_CHECKPOINT_CHECKPOINT_H_

#include <string>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "checkpoint/model_config.h"
#include "checkpoint/weights.h"

namespace fastvlm {

// Owns the mapped files; move-only. Reads config.json and the companions that
// config.h names, and model.safetensors, or the shards that model.safetensors.index.json lists.
class Checkpoint {
 public:
  // Errors name the file and tensor, what was expected and what was found.
  static Result<Checkpoint> Open(const std::string& directory);

  const ModelConfig& config() const { return config_; }
  // Valid as long as this checkpoint.
  const ModelTensors& tensors() const { return tensors_; }
  // What a user should know but need not act on, one sentence each.
  const std::vector<std::string>& warnings() const { return warnings_; }

  // Gives back the memory of what was read; it is read again from the files when used.
  void ReleasePages() const {
    for (const MappedFile& file : files_) {
      ReleaseMappedPages(file.bytes().data(), file.bytes().size());
    }
  }

 private:
  Checkpoint() = default;

  std::vector<MappedFile> files_;
  ModelConfig config_;
  ModelTensors tensors_;
  std::vector<std::string> warnings_;
};

}  // namespace fastvlm

#endif  // FASTVLM_CHECKPOINT_CHECKPOINT_H_
