// Flags that several commands share.
#ifndef FASTVLM_APPS_FLAGS_H_
#define FASTVLM_APPS_FLAGS_H_

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>

#include "fastvlm/options.h"
#include "fastvlm/status.h"

namespace fastvlm {

// "auto", "f32", "bf16", "q8" or "q4"; throws CLI::ValidationError for anything else.
Precision ParsePrecision(const std::string& name);
const char* PrecisionName(Precision precision);

// --vision
void AddVisionFlag(CLI::App& app, std::string& directory);

// --model, --vision, --precision, --threads; what is in flags is the default.
struct ModelFlags {
  std::string directory;
  ModelOptions options;
};
void AddModelFlags(CLI::App& app, ModelFlags& flags);

// --resolution, --fit, --background, --no-orient
struct ImageFlags {
  EncodeOptions encode;
  ImageOptions image;
};
void AddImageFlags(CLI::App& app, ImageFlags& flags);

// The library's errors begin with the name of the option at fault. This puts the flag there by
// which the user gave `option`: "context_tokens is ..." becomes "--context is ...".
Status NameFlag(const Status& status, std::string_view option, std::string_view flag);

// --kv-cache
void AddCacheFlag(CLI::App& app, CacheType& cache);

// The flag of a field that an options struct lists: "max_tokens" -> "--max-tokens".
std::string FlagName(std::string field);

// A message of the library, which names fields of its options, with the program's flags instead.
std::string WithFlagNames(const std::string& message);

// One flag for each field that VisitFields lists, with its range: --max-tokens, --temperature, ...
void AddGenerateFlags(CLI::App& app, GenerateOptions& options);

}  // namespace fastvlm

#endif  // FASTVLM_APPS_FLAGS_H_
