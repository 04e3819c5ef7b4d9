// What calibrating the image encoder of a quantized model found and decided (QuantizeOptions,
// `fastvlm quantize --calibrate`). mmproj.gguf keeps the record.
#ifndef FASTVLM_CALIBRATION_H_
#define FASTVLM_CALIBRATION_H_

#include <cstdint>
#include <string>
#include <vector>

namespace fastvlm {

// All cosines are between a visual token and the same token of the unquantized model in f32.
struct Calibration {
  // A matrix that stays in BF16.
  struct Kept {
    std::string tensor;  // its name in mmproj.gguf
    double loss = 0;     // 1 - mean cosine when only this matrix is quantized, 0..2
  };

  double target = 0;            // the mean cosine that was asked for, (0, 1]
  double cosine_quantized = 0;  // the mean with every matrix quantized
  double cosine_mean = 0;       // the mean of the encoder that was written
  double cosine_worst = 0;      // the least of the encoder that was written
  int64_t pictures = 0;         // the number of pictures that all this was measured on
  std::vector<Kept> kept;       // the largest loss first
};

}  // namespace fastvlm

#endif  // FASTVLM_CALIBRATION_H_
