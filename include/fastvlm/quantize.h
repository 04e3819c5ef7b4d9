// Writing a model as GGUF files: model.gguf, which llama.cpp reads as well, and mmproj.gguf.
#ifndef FASTVLM_QUANTIZE_H_
#define FASTVLM_QUANTIZE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "fastvlm/calibration.h"
#include "fastvlm/export.h"
#include "fastvlm/status.h"

namespace fastvlm {

enum class WeightFormat {
  kF32,
  kF16,  // an error if a weight is too large for it
  kBf16,
  kQ8,  // Q8_0
  kQ4,  // Q4_0 for the layers of the language model, Q8_0 for its vocabulary
};

struct QuantizeOptions {
  WeightFormat type = WeightFormat::kQ8;
  // Of mmproj.gguf. Without it the format is that of `type`, but kQ8 where `type` is kQ4.
  std::optional<WeightFormat> encoder;
  bool overwrite = false;        // replace files that are there already
  int threads = 0;               // 0: one for each physical core; otherwise 1..256
  std::string vision_directory;  // as in ModelOptions
  // Picture files to calibrate the image encoder on, whose format must be kQ8. As few of its
  // matrices as possible stay in BF16, so that on these pictures the mean cosine between the visual
  // tokens and those in f32 reaches `target`, (0, 1]. Empty: none stays in BF16.
  std::vector<std::string> calibrate;
  double target = 0.999;
};

struct QuantizedFile {
  std::string path;
  int64_t bytes = 0;
};

struct QuantizeReport {
  std::vector<QuantizedFile> files;
  int64_t source_bytes = 0;  // size of the files that hold the source's tensors
  std::optional<Calibration> calibration;
  std::vector<std::string> warnings;  // about the source, as ModelInfo has them
};

// Without calibration there is only kWriting.
enum class QuantizeStep { kCalibrating, kWriting, kChecking };

// Called with the share of the step that is done, 0..1. Returning false ends the work with
// kCancelled and removes what was written.
using QuantizeProgressFn = std::function<bool(QuantizeStep step, double fraction)>;

// Reads a checkpoint in any layout and writes both files into `directory`, which is made if need
// be. The files take their names when both are complete; until then, files that were there stay as
// they were. kInvalidArgument if there are such files and `overwrite` is not set. kUnsupported if
// `target` cannot be reached.
FASTVLM_EXPORT Result<QuantizeReport> QuantizeModel(const std::string& source,
                                                    const std::string& directory,
                                                    const QuantizeOptions& options,
                                                    const QuantizeProgressFn& progress = {});

}  // namespace fastvlm

#endif  // FASTVLM_QUANTIZE_H_
