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
  kF16,  // an error if a weight is beyond its range
  kBf16,
  kQ8,  // Q8_0
  kQ4,  // Q4_0 for the layers of the language model, Q8_0 for its vocabulary
};

struct QuantizeOptions {
  WeightFormat type = WeightFormat::kQ8;
  std::optional<WeightFormat> encoder;  // of mmproj.gguf; without: as `type`, and kQ8 for kQ4
  bool overwrite = false;
  int threads = 0;               // 0: one for each physical core; otherwise 1..256
  std::string vision_directory;  // as in ModelOptions
  // Picture files. Unless there are none, they decide which matrices of the image encoder stay in
  // BF16, so that the mean cosine of the visual tokens to those in f32 reaches `target`, (0, 1].
  // Only for an encoder of kQ8.
  std::vector<std::string> calibrate;
  double target = 0.999;
};

struct QuantizedFile {
  std::string path;
  int64_t bytes = 0;
};

struct QuantizeReport {
  std::vector<QuantizedFile> files;
  int64_t source_bytes = 0;  // of the files with the source's tensors
  std::optional<Calibration> calibration;
};

enum class QuantizeStep { kCalibrating, kWriting, kChecking };  // the first and last if calibrated

// Called with 0..1 for each step; returning false ends the work with kCancelled and removes what
// was written.
using QuantizeProgressFn = std::function<bool(QuantizeStep step, double fraction)>;

// Reads a checkpoint in any layout and writes both files into `directory`, which is made if need
// be. They take their names when both are complete: whatever happens before, what was there stays.
// kInvalidArgument if they exist and `overwrite` is not set. kUnsupported if `target` cannot be
// reached.
FASTVLM_EXPORT Result<QuantizeReport> QuantizeModel(const std::string& source,
                                                    const std::string& directory,
                                                    const QuantizeOptions& options,
                                                    const QuantizeProgressFn& progress = {});

}  // namespace fastvlm

#endif  // FASTVLM_QUANTIZE_H_
