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
#include "fastvlm/image.h"
#include "fastvlm/options.h"
#include "fastvlm/status.h"

namespace fastvlm {

struct ModelInfo {
  std::string directory;
  std::string layout;                     // "apple", "fast_vlm", "mlx", "mlx_export" or "gguf"
  std::string dtype;                      // of the decoder's weights in the files
  Precision precision = Precision::kF32;  // of the decoder; never kAsStored once loaded
  int image_size = 0;                     // side of the square the model was trained for, pixels
  int pixels_per_token = 0;               // side of the square one visual token stands for
  std::vector<int64_t> stage_blocks;
  std::vector<int64_t> stage_channels;
  int64_t feature_channels = 0;
  int64_t hidden = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t intermediate = 0;
  int64_t vocabulary = 0;  // tokens the model can produce
  int64_t context_tokens = 0;
  bool tied_embeddings = false;
  int64_t vision_parameters = 0;
  int64_t projector_parameters = 0;
  int64_t decoder_parameters = 0;
  int64_t file_bytes = 0;
  int64_t weight_bytes = 0;                // in memory once loaded
  std::optional<Calibration> calibration;  // of the image encoder, if its file has one
  std::vector<std::string> warnings;
};

// Opens and checks a checkpoint without loading its weights. vision_directory as in ModelOptions.
Result<ModelInfo> InspectModel(const std::string& directory,
                               const std::string& vision_directory = "");

// A row-major f32 matrix.
struct Matrix {
  int64_t rows = 0;
  int64_t columns = 0;
  std::vector<float> values;
};

// Called with 0..1 while something long is under way.
using ProgressFn = std::function<void(double fraction)>;

struct ModelImpl;

// Immutable once loaded and shareable by any number of sessions, one running at a time.
class Model {
 public:
  static Result<std::shared_ptr<const Model>> Load(const std::string& directory,
                                                   const ModelOptions& options = {},
                                                   const ProgressFn& progress = {});
  ~Model();

  const ModelInfo& info() const;
  int threads() const;

  // The encoder's features before the projector, [tokens, feature_channels], or after it,
  // [tokens, hidden]. Token t stands for row t / (width / 64), column t % (width / 64).
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
