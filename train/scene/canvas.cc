#include "train/scene/canvas.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace fastvlm::train {
namespace {

// Paints a + (b - a) * mix(x, y); a template, so that mix is inlined.
template <typename Mix>
void Fill(Canvas& canvas, const Rgb& a, const Rgb& b, Mix mix) {
  const float dr = b.r - a.r, dg = b.g - a.g, db = b.b - a.b;
  for (int y = 0; y < canvas.height; ++y) {
    float* out = canvas.Row(y);
    for (int x = 0; x < canvas.width; ++x, out += 3) {
      const float t = mix(static_cast<float>(x), static_cast<float>(y));
      out[0] = a.r + dr * t;
      out[1] = a.g + dg * t;
      out[2] = a.b + db * t;
    }
  }
}

float Saw(float x) { return x - std::floor(x); }
float Clamp01(float x) { return std::min(std::max(x, 0.0f), 1.0f); }

void Gradient(Canvas& canvas, const Rgb& a, const Rgb& b, Random& random) {
  const float angle = random.Between(-3.14f, 3.14f);
  const float c = Cosine(angle), s = Sine(angle);
  const float w = static_cast<float>(canvas.width), h = static_cast<float>(canvas.height);
  const float reach = std::abs(c) * w + std::abs(s) * h;
  Fill(canvas, a, b, [=](float x, float y) {
    return Clamp01(((x - w / 2) * c + (y - h / 2) * s) / reach + 0.5f);
  });
}

void Stripes(Canvas& canvas, const Rgb& a, const Rgb& b, Random& random) {
  const float angle = random.Chance(0.5) ? 0 : random.Between(-3.14f, 3.14f);
  const float side = static_cast<float>(std::min(canvas.width, canvas.height));
  const float period = random.Between(0.05f, 0.25f) * side;
  const bool upright = random.Chance(0.5);
  const float c = (upright ? Cosine(angle) : Sine(angle)) / period;
  const float s = (upright ? Sine(angle) : Cosine(angle)) / period;
  const float sharp = period / 1.5f;  // one and a half pixels from colour to colour
  Fill(canvas, a, b, [=](float x, float y) {
    const float phase = std::abs(2 * Saw(x * c + y * s) - 1);
    return Clamp01((phase - 0.5f) * sharp + 0.5f);
  });
}

void Checks(Canvas& canvas, const Rgb& a, const Rgb& b, Random& random) {
  const float side = static_cast<float>(std::min(canvas.width, canvas.height));
  const float scale = 1 / (random.Between(0.05f, 0.2f) * side);
  const bool dots = random.Chance(0.5);
  Fill(canvas, a, b, [=](float x, float y) {
    const float u = Saw(x * scale) - 0.5f, v = Saw(y * scale) - 0.5f;
    if (dots) return Clamp01((0.08f - (u * u + v * v)) / (scale * 0.8f) + 0.5f);
    return (u > 0) == (v > 0) ? 1.0f : 0.0f;
  });
}

// Value noise: random numbers on a coarse grid, interpolated.
void Clouds(Canvas& canvas, const Rgb& a, const Rgb& b, Random& random) {
  constexpr int kGrid = 18;
  std::array<float, kGrid * kGrid> values;
  for (float& value : values) value = random.Uniform();
  const float cells = random.Between(2, kGrid - 2);
  const float scale = cells / static_cast<float>(std::max(canvas.width, canvas.height));
  Fill(canvas, a, b, [&values, scale](float x, float y) {
    const float u = x * scale, v = y * scale;
    const int column = static_cast<int>(u), row = static_cast<int>(v);
    float fu = u - static_cast<float>(column), fv = v - static_cast<float>(row);
    fu = fu * fu * (3 - 2 * fu);
    fv = fv * fv * (3 - 2 * fv);
    const float* p = values.data() + row * kGrid + column;
    const float top = p[0] + (p[1] - p[0]) * fu;
    const float bottom = p[kGrid] + (p[kGrid + 1] - p[kGrid]) * fu;
    return top + (bottom - top) * fv;
  });
}

void Blobs(Canvas& canvas, const Rgb& a, const Rgb& b, Random& random) {
  struct Blob {
    float x, y, scale;
  };
  std::array<Blob, 4> blobs;
  const float side = static_cast<float>(std::min(canvas.width, canvas.height));
  for (Blob& blob : blobs) {
    const float radius = random.Between(0.1f, 0.45f) * side;
    blob = {random.Uniform() * static_cast<float>(canvas.width),
            random.Uniform() * static_cast<float>(canvas.height), 1 / (radius * radius)};
  }
  Fill(canvas, a, b, [&blobs](float x, float y) {
    float sum = 0;
    for (const Blob& blob : blobs) {
      const float dx = x - blob.x, dy = y - blob.y;
      const float fall = std::max(0.0f, 1 - (dx * dx + dy * dy) * blob.scale);
      sum += fall * fall;
    }
    return std::min(sum * 1.5f, 1.0f);
  });
}

void Grain(Canvas& canvas, const Rgb& a, const Rgb& b, Random& random) {
  Random own(random.Next());
  Fill(canvas, a, b, [&own](float, float) { return own.Uniform(); });
}

void AddNoise(Canvas& canvas, float strength, Random& random) {
  // The sum of two even distributions is near enough to a bell.
  const float scale = strength * 2.45f / 65536;
  const size_t count = canvas.pixels.size();
  for (size_t i = 0; i < count; i += 3) {
    const uint64_t bits = random.Next();
    for (size_t c = 0; c < 3; ++c) {
      const int low = static_cast<int>((bits >> (20 * c)) & 0x3ff);
      const int high = static_cast<int>((bits >> (20 * c + 10)) & 0x3ff);
      canvas.pixels[i + c] += scale * static_cast<float>((low + high - 1023) * 64);
    }
  }
}

// [1 w 1] / (2 + w) along x, then along y, in place; the border repeats.
void Blur(Canvas& canvas, float w) {
  const int row_size = canvas.width * 3;
  const float side = 1 / (2 + w), middle = w / (2 + w);
  std::vector<float> blurred(canvas.pixels.size());
  for (int y = 0; y < canvas.height; ++y) {
    const float* in = canvas.Row(y);
    float* out = blurred.data() + static_cast<size_t>(y) * row_size;
    for (int i = 0; i < 3; ++i) out[i] = in[i];
    for (int i = 3; i < row_size - 3; ++i) out[i] = middle * in[i] + side * (in[i - 3] + in[i + 3]);
    for (int i = std::max(row_size - 3, 3); i < row_size; ++i) out[i] = in[i];
  }
  for (int y = 0; y < canvas.height; ++y) {
    const float* above = blurred.data() + static_cast<size_t>(std::max(y - 1, 0)) * row_size;
    const float* in = blurred.data() + static_cast<size_t>(y) * row_size;
    const float* below =
        blurred.data() + static_cast<size_t>(std::min(y + 1, canvas.height - 1)) * row_size;
    float* out = canvas.Row(y);
    for (int i = 0; i < row_size; ++i) out[i] = middle * in[i] + side * (above[i] + below[i]);
  }
}

}  // namespace

Rgb PaintBackground(const NamedColor& color, bool plain, Canvas& canvas, Random& random) {
  const Rgb a = DrawColor(color, random);
  const Rgb b = DrawSecondColor(color, a, random);
  constexpr float kWeights[] = {6, 3, 2, 2, 2, 2, 1};
  switch (plain ? 0 : random.Weighted(kWeights, 7)) {
    case 0:
      Fill(canvas, a, a, [](float, float) { return 0.0f; });
      return a;
    case 1:
      Gradient(canvas, a, b, random);
      break;
    case 2:
      Stripes(canvas, a, b, random);
      break;
    case 3:
      Checks(canvas, a, b, random);
      break;
    case 4:
      Clouds(canvas, a, b, random);
      break;
    case 5:
      Blobs(canvas, a, b, random);
      break;
    default:
      Grain(canvas, a, b, random);
  }
  return {(a.r + b.r) / 2, (a.g + b.g) / 2, (a.b + b.b) / 2};
}

void Weather(Canvas& canvas, Random& random) {
  if (random.Chance(0.15)) Blur(canvas, random.Between(1.5f, 4.0f));
  if (random.Chance(0.3)) AddNoise(canvas, random.Between(0.005f, 0.04f), random);
  if (random.Chance(0.3)) {
    const float gain = random.Between(0.88f, 1.06f);
    const float lift = 0.5f - 0.5f * gain + random.Between(-0.02f, 0.02f);
    for (float& value : canvas.pixels) value = value * gain + lift;
  }
}

void StoreBytes(const Canvas& canvas, uint8_t* rgb, int stride) {
  for (int y = 0; y < canvas.height; ++y) {
    const float* in = canvas.Row(y);
    uint8_t* out = rgb + static_cast<ptrdiff_t>(y) * stride;
    for (int i = 0; i < canvas.width * 3; ++i) {
      float value = in[i] * 255.0f + 0.5f;
      value = value < 0.0f ? 0.0f : value;
      value = value > 255.0f ? 255.0f : value;
      out[i] = static_cast<uint8_t>(static_cast<int>(value));
    }
  }
}

}  // namespace fastvlm::train
