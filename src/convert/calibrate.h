// Which matrices of the image half stay in BF16 while the others are quantized to 8 bits.
#ifndef FASTVLM_CONVERT_CALIBRATE_H_
#define FASTVLM_CONVERT_CALIBRATE_H_

#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/thread_pool.h"
#include "checkpoint/checkpoint.h"
#include "fastvlm/calibration.h"
#include "image/preprocess.h"

namespace fastvlm {

struct CalibrationPicture {
  PixelTensor pixels;
  std::vector<float> reference;  // visual tokens in f32, [tokens, hidden]; Calibrate fills it in
};

// Called with 0..1; returning false ends the work with kCancelled.
using CalibrateProgressFn = std::function<bool(double fraction)>;

// Decodes the files and fits them to the encoder, as describing them does. Errors name the file.
Result<std::vector<CalibrationPicture>> LoadCalibrationPictures(
    const std::vector<std::string>& paths, const VisionConfig& config, ThreadPool& pool);

// Quantizes all matrices, and if the mean cosine of the visual tokens is below `target`, measures
// what each one costs alone and keeps the fewest, costliest first, that reach it. Every number is
// that of a full pass over all pictures. kUnsupported if BF16 everywhere does not reach it.
Result<Calibration> Calibrate(const Checkpoint& checkpoint, double target,
                              std::vector<CalibrationPicture>* pictures, ThreadPool& pool,
                              const CalibrateProgressFn& progress);

// Runs the image half as `written` has it: kDataError unless it has the cosines of `expected`.
Status CheckCalibration(const Checkpoint& written, const Calibration& expected,
                        const std::vector<CalibrationPicture>& pictures, ThreadPool& pool,
                        const CalibrateProgressFn& progress);

}  // namespace fastvlm

#endif  // FASTVLM_CONVERT_CALIBRATE_H_
