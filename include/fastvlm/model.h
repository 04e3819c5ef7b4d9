// A FastVLM checkpoint in memory.
#ifndef FASTVLM_MODEL_H_
#define FASTVLM_MODEL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fastvlm/calibration.h"
#include "fastvlm/export.h"
#include "fastvlm/image.h"
#include "fastvlm/options.h"
#include "fastvlm/status.h"

namespace fastvlm {

struct ModelInfo {
  std::string directory;
  std::string layout;                     // "apple", "fast_vlm", "mlx", "mlx_export" or "gguf"
  std::string dtype;                      // of the decoder's weights in the files
  Precision precision = Precision::kF32;  // of the decoder; never kAsStored once loaded
  int image_size = 0;        // side of the square picture the model was trained for, pixels
  int pixels_per_token = 0;  // side of the square that one visual token stands for, pixels
  std::vector<int64_t> stage_blocks;
  std::vector<int64_t> stage_channels;
  int64_t feature_channels = 0;
  int64_t hidden = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t intermediate = 0;
  int64_t vocabulary = 0;      // tokens the model can produce
  int64_t context_tokens = 0;  // what the model was trained for
  bool tied_embeddings = false;
  int64_t vision_parameters = 0;
  int64_t projector_parameters = 0;
  int64_t decoder_parameters = 0;
  int64_t file_bytes = 0;
  int64_t weight_bytes = 0;                // in memory; 0 before the model is loaded
  std::optional<Calibration> calibration;  // of the image encoder, if its file has a record of it
  std::vector<std::string> warnings;
};

// Opens and checks a checkpoint without loading its weights. vision_directory is that of
// ModelOptions.
FASTVLM_EXPORT Result<ModelInfo> InspectModel(const std::string& directory,
                                              const std::string& vision_directory = "");

// A row-major f32 matrix.
struct Matrix {
  int64_t rows = 0;
  int64_t columns = 0;
  std::vector<float> values;
};

// Called with the share that is done, 0..1, while something long is under way, on the thread that
// called the function, which waits for it. Nothing is locked meanwhile: others who use the model go
// on, and the callback may use it as well. What the callback throws ends the function and leaves
// it.
using ProgressFn = std::function<void(double fraction)>;

struct ModelImpl;

// Immutable once loaded, and thread-safe: any number of sessions and engines may share it. Only one
// of them computes at a time; they take turns, after each token and each part of a prompt, in the
// order in which they ask.
class FASTVLM_EXPORT Model {
 public:
  static Result<std::shared_ptr<const Model>> Load(const std::string& directory,
                                                   const ModelOptions& options = {},
                                                   const ProgressFn& progress = {});
  ~Model();

  const ModelInfo& info() const;
  int threads() const;

  // What the encoder makes of a picture, before the projector, [tokens, feature_channels], or after
  // it, [tokens, hidden]. Token t stands for row t / n and column t % n of the picture's squares,
  // with n = width / pixels_per_token of them in a row.
  Result<Matrix> EncodeFeatures(const Image& image, const EncodeOptions& options = {},
                                const ProgressFn& progress = {}) const;
  Result<Matrix> EncodeVisualTokens(const Image& image, const EncodeOptions& options = {},
                                    const ProgressFn& progress = {}) const;

 private:
  friend const ModelImpl& ImplOf(const Model& model);  // for the library's own files
  explicit Model(std::unique_ptr<ModelImpl> impl);
  std::unique_ptr<ModelImpl> impl_;
};

}  // namespace fastvlm

#endif  // FASTVLM_MODEL_H_
