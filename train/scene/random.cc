#include "train/scene/random.h"

namespace fastvlm::train {

int Random::Weighted(const float* weights, int count) {
  float total = 0;
  for (int i = 0; i < count; ++i) total += weights[i];
  float rest = Uniform() * total;
  int last = 0;
  for (int i = 0; i < count; ++i) {
    if (weights[i] <= 0) continue;
    last = i;
    rest -= weights[i];
    if (rest < 0) return i;
  }
  return last;  // rounding used up the total
}

float Sine(float angle) {
  constexpr double kPi = 3.14159265358979323846;
  double x = static_cast<double>(angle);
  while (x > kPi) x -= 2 * kPi;
  while (x < -kPi) x += 2 * kPi;
  double term = x;
  double sum = x;
  for (int n = 1; n <= 9; ++n) {
    term *= -x * x / ((2 * n) * (2 * n + 1));
    sum += term;
  }
  return static_cast<float>(sum);
}

float Cosine(float angle) { return Sine(angle + 1.57079632679489661923f); }

}  // namespace fastvlm::train
