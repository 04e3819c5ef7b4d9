// Decides which matrices of the image encoder and the projector stay in BF16 while the others are
// quantized to 8 bits.
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

// Called with the share that is done, 0..1. Returning false ends the work with kCancelled.
using CalibrateProgressFn = std::function<bool(double fraction)>;

// Decodes the files and fits the pictures to the encoder in the usual way. Errors name the file.
Result<std::vector<CalibrationPicture>> LoadCalibrationPictures(
    const std::vector<std::string>& paths, const VisionConfig& config, ThreadPool& pool);

// Quantizes all matrices. If the mean cosine of the visual tokens is then below `target`, measures
// what quantizing each matrix alone costs, and keeps the costliest in BF16, as few of them as reach
// the target. All cosines are those of full passes over all pictures.
// kUnsupported if even all matrices in BF16 do not reach the target.
Result<Calibration> Calibrate(const Checkpoint& checkpoint, double target,
                              std::vector<CalibrationPicture>* pictures, ThreadPool& pool,
                              const CalibrateProgressFn& progress);

// Runs the encoder and projector of `written` on the pictures: kDataError unless the cosines are
// those of `expected`.
Status CheckCalibration(const Checkpoint& written, const Calibration& expected,
                        const std::vector<CalibrationPicture>& pictures, ThreadPool& pool,
                        const CalibrateProgressFn& progress);

}  // namespace fastvlm

#endif  // FASTVLM_CONVERT_CALIBRATE_H_
