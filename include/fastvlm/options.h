// Options of the public API: plain structs. Each field has its default and unit beside it.
//
// VisitFields(options, visit) calls visit(name, field, help, range) for each field of a struct that
// flags, JSON requests and bindings offer. It is the one list of their names and ranges, and the
// library checks its options by it. Names are in snake_case; a flag has '-' for '_'.
#ifndef FASTVLM_OPTIONS_H_
#define FASTVLM_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "fastvlm/color.h"

namespace fastvlm {

// How weights and activations are held; docs/ACCURACY.md has what each costs in accuracy.
enum class Precision {
  kFastest,   // as kAsStored if the file is quantized, else DefaultPrecision() of system.h
  kAsStored,  // 8- and 4-bit weights stay as the file has them; other weights are as with kF32
  kF32,       // reproduces the reference implementation but for rounding
  kBf16,      // bf16 weights; CPUs that gain by it round what is multiplied too, to bf16 or f16
  kQ8,        // weights and activations have 8 bits, in blocks of 32 that share a scale
  kQ4,        // the same, but the weights of the decoder's layers have 4 bits
};

// How an image is brought to the shape of the encoder's input.
enum class Fit {
  kPad,      // black bars around the whole image, as the published predict.py does
  kCrop,     // the centre, as transformers' processor does
  kStretch,  // both sides scaled independently
};

struct ModelOptions {
  Precision precision = Precision::kAsStored;
  int threads = 0;  // 0: one for each physical core this process may use; otherwise 1..256
  // Directory of a FastVLM of the same size whose image encoder is used, for a model whose files
  // have none: Apple's MLX exports, and GGUF files of the language model alone. Empty: the model
  // has its own.
  std::string vision_directory;
};

// The limits keep a small hostile file from claiming much memory.
struct ImageOptions {
  // Turn the image as its EXIF or XMP says. Apple's predict.py does not: false reproduces it
  // on rotated photos. HEIC and AVIF are always upright: their rotation is part of the format.
  bool orient = true;
  // Width times height. The default is Pillow's own limit, so that every picture which the
  // reference opens is opened here too. At most it takes 0.5 GiB of RGB.
  int64_t max_pixels = 178'956'970;
  int max_side = 1'000'000;  // pixels of the longer side; the default is libpng's
  size_t max_file_bytes = size_t{1} << 30;
  // What decoding may hold at once, beside the file: the pixels, and what a library needs to decode
  // them, such as the coefficients of a progressive JPEG.
  int64_t max_decode_bytes = std::numeric_limits<int64_t>::max();
  // What shows through where the picture is transparent. Nothing: transparency is dropped and the
  // colours that it hides are shown, as the reference does.
  std::optional<Color> background = std::nullopt;
};

struct EncodeOptions {
  // Of the encoder's input, pixels: multiples of ModelInfo::pixels_per_token. 0: what the model was
  // trained for.
  int width = 0;
  int height = 0;
  Fit fit = Fit::kPad;
};

// The values that a field may have. Unless it says otherwise, those are all of its type.
struct FieldRange {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool above_low = false;  // `low` itself is not allowed

  bool Contains(double value) const {  // false for NaN
    return (above_low ? value > low : value >= low) && value <= high;
  }
};

// The ranges are in VisitFields below.
struct SamplingOptions {
  float temperature = 0;  // 0: always the most likely token
  int top_k = 50;         // keep the k most likely tokens; 0: all
  float top_p = 1;        // keep the smallest set of tokens with this total probability
  float min_p = 0;        // drop tokens less likely than this share of the likeliest
  // Makes tokens of the answer so far less likely: divides their positive logits and multiplies
  // their negative ones.
  float repetition_penalty = 1;
  // OpenAI's: subtracted from the logit of a token of the answer so far, once for each time it
  // stands there.
  float frequency_penalty = 0;
  float presence_penalty = 0;  // and once, however often it stands there
  uint64_t seed = 0;           // the same seed gives the same answer
};

template <typename Visitor>
void VisitFields(SamplingOptions& options, Visitor&& visit) {
  visit("temperature", options.temperature,
        "0 takes the most likely token each time; higher is more varied", FieldRange{0, 100});
  visit("top_k", options.top_k, "Sample among the K most likely tokens; 0 means all",
        FieldRange{.low = 0});
  visit("top_p", options.top_p,
        "Sample among the likeliest tokens that together reach this probability",
        FieldRange{0, 1, /*above_low=*/true});
  visit("min_p", options.min_p, "Never sample a token less likely than this share of the likeliest",
        FieldRange{0, 1});
  visit("repetition_penalty", options.repetition_penalty,
        "Above 1, words already used become less likely", FieldRange{0, 100, /*above_low=*/true});
  visit("frequency_penalty", options.frequency_penalty,
        "Above 0, words become less likely each time they are used", FieldRange{-2, 2});
  visit("presence_penalty", options.presence_penalty,
        "Above 0, words become less likely once they are used", FieldRange{-2, 2});
  visit("seed", options.seed, "Random seed; the same seed gives the same answer", FieldRange{});
}

struct GenerateOptions {
  int max_tokens = 256;
  SamplingOptions sampling;
  // Unless this is empty, the answer is a JSON text that follows this JSON schema; "{}" allows any
  // JSON text. It breaks off where max_tokens or the context end. docs/STRUCTURED_OUTPUT.md lists
  // the keywords.
  std::string json_schema;
};

template <typename Visitor>
void VisitFields(GenerateOptions& options, Visitor&& visit) {
  visit("max_tokens", options.max_tokens, "Longest answer, in tokens", FieldRange{.low = 1});
  VisitFields(options.sampling, visit);
}

// How the keys and values of a conversation are held.
enum class CacheType {
  kAuto,  // kF32 with Precision::kF32, else kF16
  kF32,
  kF16,
  kQ8,  // 8 bits in blocks of 32
};

struct SessionOptions {
  int64_t context_tokens = 0;  // text and image together; 0: what the model was trained for
  CacheType cache = CacheType::kAuto;
};

}  // namespace fastvlm

#endif  // FASTVLM_OPTIONS_H_
