#include "flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/field_range.h"

namespace fastvlm {
namespace {

constexpr Precision kPrecisions[] = {Precision::kFastest, Precision::kAsStored, Precision::kF32,
                                     Precision::kBf16,    Precision::kQ8,       Precision::kQ4};

bool ParseSide(std::string_view text, int& side) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), side);
  return error == std::errc() && end == text.data() + text.size() && side > 0;
}

// "512" or "640x448", width first.
std::string ParseResolution(const std::string& text, EncodeOptions& options) {
  const size_t cross = text.find('x');
  const bool ok = cross == std::string::npos
                      ? ParseSide(text, options.width) && ParseSide(text, options.height)
                      : ParseSide(std::string_view(text).substr(0, cross), options.width) &&
                            ParseSide(std::string_view(text).substr(cross + 1), options.height);
  return ok ? ""
            : "'" + text + "' is not a resolution; expected pixels, for example 512 or 640x448";
}

bool IsPartOfName(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '/' ||
         c == '-';
}

// Replaces `words` where they stand alone, not within a path or the name of a JSON field.
void ReplaceWords(std::string_view words, std::string_view with, std::string& text) {
  for (size_t at = 0; (at = text.find(words, at)) != std::string::npos;) {
    const size_t end = at + words.size();
    const bool alone = (at == 0 || !IsPartOfName(text[at - 1])) &&
                       (end == text.size() || !IsPartOfName(text[end]));
    if (alone) text.replace(at, words.size(), with);
    at += alone ? with.size() : words.size();
  }
}

}  // namespace

std::string FlagName(std::string field) {
  std::replace(field.begin(), field.end(), '_', '-');
  return "--" + field;
}

std::string WithFlagNames(const std::string& message) {
  static constexpr std::pair<std::string_view, std::string_view> kHints[] = {
      {"as vision_directory", "with --vision DIR"},
      {"precision f32 keeps", "--precision f32 keeps"},
      {"set overwrite to replace it", "replace it with --force"},
      {"set encoder to q8", "use --encoder q8"},
      {"leave out calibrate", "leave out --calibrate"},
      {"lower target", "lower --target"},
      {"lower context_tokens, or choose a cache of fewer bits", "try --kv-cache q8"},
      {"lower max_active or context_tokens", "lower --max-active or --context"},
  };
  std::string text = message;
  for (const auto& [hint, with_flag] : kHints) ReplaceWords(hint, with_flag, text);
  GenerateOptions options;
  VisitFields(options, [&text](const char* name, const auto&...) {
    // A name of one word is clear to everybody.
    if (std::string_view(name).find('_') == std::string_view::npos) return;
    ReplaceWords(name, FlagName(name), text);
  });
  return text;
}

Precision ParsePrecision(const std::string& name) {
  for (Precision precision : kPrecisions) {
    if (name == PrecisionName(precision)) return precision;
  }
  throw CLI::ValidationError("--precision",
                             "'" + name + "' is unknown; expected fast, auto, f32, bf16, q8 or q4");
}

const char* PrecisionName(Precision precision) {
  switch (precision) {
    case Precision::kFastest:
      return "fast";
    case Precision::kAsStored:
      return "auto";
    case Precision::kF32:
      return "f32";
    case Precision::kBf16:
      return "bf16";
    case Precision::kQ8:
      return "q8";
    case Precision::kQ4:
      return "q4";
  }
  return "";
}

Status NameFlag(const Status& status, std::string_view option, std::string_view flag) {
  const std::string& message = status.message();
  if (!message.starts_with(std::string(option) + " ")) return status;
  return Status(status.code(), std::string(flag) + message.substr(option.size()));
}

void AddVisionFlag(CLI::App& app, std::string& directory) {
  app.add_option(
         "--vision", directory,
         "Directory or name of the original FastVLM of the same size; its image encoder is\n"
         "used with files that have none, such as Apple's MLX exports")
      ->type_name("MODEL");
}

void AddModelFlags(CLI::App& app, ModelFlags& flags) {
  app.add_option("-m,--model", flags.directory,
                 "Directory of a FastVLM checkpoint, or the name of a model that\n"
                 "'fastvlm pull' fetched (default: the bundled model)")
      ->type_name("MODEL");
  AddVisionFlag(app, flags.options.vision_directory);
  app.add_option_function<std::string>(
         "--precision",
         [&flags](const std::string& name) { flags.options.precision = ParsePrecision(name); },
         "How weights and activations are held: f32, which reproduces the reference, or\n"
         "bf16, q8, q4, which are smaller and faster and lose a little; auto is q8 or q4\n"
         "if the model's files are, and f32 otherwise; fast is q8 otherwise, if the CPU has\n"
         "AVX2")
      ->type_name("TYPE")
      ->default_str(PrecisionName(flags.options.precision));
  app.add_option("-t,--threads", flags.options.threads,
                 "Threads; 0 means one for each physical core")
      ->check(CLI::Range(0, 256))
      ->capture_default_str();
}

void AddCacheFlag(CLI::App& app, CacheType& cache) {
  static const std::map<std::string, CacheType> kTypes = {
      {"f32", CacheType::kF32}, {"f16", CacheType::kF16}, {"q8", CacheType::kQ8}};
  app.add_option("--kv-cache", cache,
                 "How the keys and values of the conversation are held: f32, f16 or q8\n"
                 "(default: f32 with --precision f32, else f16)")
      ->transform(CLI::CheckedTransformer(kTypes).description(""))
      ->type_name("TYPE");
}

void AddImageFlags(CLI::App& app, ImageFlags& flags) {
  app.add_option_function<std::string>(
         "--resolution",
         [&flags](const std::string& text) {
           const std::string error = ParseResolution(text, flags.encode);
           if (!error.empty()) throw CLI::ValidationError("--resolution", error);
         },
         "Size the image is brought to, in pixels: N or WIDTHxHEIGHT, multiples of 64\n"
         "(of 32 with the bundled model)\n"
         "(default: what the model was trained for)")
      ->type_name("N");
  static const std::map<std::string, Fit> kFits = {
      {"pad", Fit::kPad}, {"crop", Fit::kCrop}, {"stretch", Fit::kStretch}};
  app.add_option("--fit", flags.encode.fit,
                 "How the image is made to fit: pad (black bars), crop or stretch")
      ->transform(CLI::CheckedTransformer(kFits).description(""))
      ->type_name("HOW")
      ->default_str("pad");
  app.add_option_function<std::string>(
         "--background",
         [&flags](const std::string& text) {
           flags.image.background = ParseColor(text);
           if (!flags.image.background.has_value()) {
             throw CLI::ValidationError(
                 "--background",
                 fmt::format("'{}' is not a colour; expected {}", text, kExpectedColor));
           }
         },
         "What shows where the image is transparent: white, black or #rrggbb (default:\n"
         "the colours that its transparency hides, as the reference does)")
      ->type_name("COLOUR");
  app.add_flag_callback(
      "--no-orient", [&flags] { flags.image.orient = false; },
      "Do not turn the image as its EXIF or XMP says");
}

void AddGenerateFlags(CLI::App& app, GenerateOptions& options) {
  VisitFields(
      options, [&app](const char* name, auto& field, const char* help, const FieldRange& range) {
        using Value = std::remove_reference_t<decltype(field)>;
        const std::string flag = FlagName(name);
        const auto set = [flag, range, &field](const Value& value) {
          if (!range.Contains(static_cast<double>(value))) {
            throw CLI::ValidationError(OutOfRangeText(flag, value, range));
          }
          field = value;
        };
        app.add_option_function<Value>(flag, set, help)->default_str(fmt::format("{}", field));
      });
}

}  // namespace fastvlm
