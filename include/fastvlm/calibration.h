// What `fastvlm quantize --calibrate` found and decided; mmproj.gguf keeps it.
#ifndef FASTVLM_CALIBRATION_H_
#define FASTVLM_CALIBRATION_H_

#include <cstdint>
#include <string>
#include <vector>

namespace fastvlm {

// Cosines are between a visual token and the same one of the unquantized model in f32.
struct Calibration {
  // A matrix that stays in BF16, by its name in mmproj.gguf.
  struct Kept {
    std::string tensor;
    double loss = 0;  // 1 - mean cosine when only this matrix is quantized, 0..2
  };

  double target = 0;            // mean cosine that was asked for, (0, 1]
  double cosine_quantized = 0;  // mean with every matrix quantized
  double cosine_mean = 0;       // mean of what was written
  double cosine_worst = 0;      // least of what was written
  int64_t pictures = 0;         // that all this was measured on
  std::vector<Kept> kept;       // largest loss first
};

}  // namespace fastvlm

#endif  // FASTVLM_CALIBRATION_H_
