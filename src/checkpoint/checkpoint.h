// A FastVLM as its files have it, opened without converting it.
#ifndef FASTVLM_CHECKPOINT_CHECKPOINT_H_
#define FASTVLM_CHECKPOINT_CHECKPOINT_H_

#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "checkpoint/gguf_model.h"
#include "checkpoint/model_config.h"
#include "checkpoint/stored_tokenizer.h"
#include "checkpoint/tensor_files.h"
#include "checkpoint/weights.h"

namespace fastvlm {

// Owns the mapped files; move-only. Reads config.json and the companions that
// config.h names, and the safetensors files that tensor_files.h finds; or GGUF files, as
// gguf_model.h finds them.
class Checkpoint {
 public:
  // vision_directory: a FastVLM of the same size, in any layout that has the image encoder; only
  // that is read from it. For "mlx_export" and GGUF files, which lack it or may; empty for all
  // other layouts. With GGUF files it may also be a directory with mmproj.gguf.
  // Errors name the file and tensor, what was expected and what was found.
  static Result<Checkpoint> Open(const std::string& directory,
                                 const std::string& vision_directory = "");

  // The same for these two files, whatever their names.
  static Result<Checkpoint> OpenGguf(const GgufPaths& paths,
                                     const std::string& vision_directory = "");

  const ModelConfig& config() const { return config_; }
  // Valid as long as this checkpoint.
  const ModelTensors& tensors() const { return tensors_; }
  // What a user should know but need not act on, one sentence each.
  const std::vector<std::string>& warnings() const { return warnings_; }
  // The tokenizer, if the files hold one.
  const std::optional<StoredTokenizer>& tokenizer() const { return tokenizer_; }

  // Gives back the memory of what was read; it is read again from the files when used.
  void ReleasePages() const {
    for (const TensorFiles& files : files_) {
      for (const MappedFile& file : files.files) {
        ReleaseMappedPages(file.bytes().data(), file.bytes().size());
      }
    }
  }

 private:
  Checkpoint() = default;

  Status ReadGgufDecoder(const std::string& path);
  Status ReadGgufVision(const std::string& path);
  // Takes the image half of `other`.
  Status AdoptVision(Checkpoint other, const std::string& directory);

  std::vector<TensorFiles> files_;
  ModelConfig config_;
  ModelTensors tensors_;
  std::vector<std::string> warnings_;
  std::optional<StoredTokenizer> tokenizer_;
  std::string model_id_, vision_id_;  // of GGUF files, see gguf_pair.h; "" without
};

}  // namespace fastvlm

#endif  // FASTVLM_CHECKPOINT_CHECKPOINT_H_
