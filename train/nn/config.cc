#include "train/nn/config.h"

#include <charconv>
#include <sstream>

namespace fastvlm::train {
namespace {

bool ParsePositive(const std::string& text, int64_t* value) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, *value);
  return error == std::errc() && stop == end && *value > 0 && *value <= 8192;
}

std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

}  // namespace

Result<std::vector<StageShape>> ParseStages(const std::string& text) {
  std::vector<StageShape> stages;
  int64_t previous = 0;
  for (const std::string& part : Split(text, ',')) {
    const std::vector<std::string> fields = Split(part, ':');
    StageShape stage;
    const bool attention = fields.size() == 4 && fields[3] == "a";
    if ((fields.size() != 3 && !attention) || !ParsePositive(fields[0], &stage.channels) ||
        !ParsePositive(fields[1], &stage.blocks) || !ParsePositive(fields[2], &stage.ffn_ratio)) {
      return Error(StatusCode::kInvalidArgument,
                   "stage '{}': expected CHANNELS:BLOCKS:FFN_RATIO, with :a for attention", part);
    }
    stage.attention = attention;
    if (attention && stage.channels % 32 != 0) {
      return Error(StatusCode::kInvalidArgument,
                   "stage '{}': attention needs a multiple of 32 channels", part);
    }
    if (previous != 0 && stage.channels % previous != 0) {
      return Error(StatusCode::kInvalidArgument,
                   "stage '{}': channels must be a multiple of the {} before", part, previous);
    }
    previous = stage.channels;
    stages.push_back(stage);
  }
  if (stages.empty() || stages.size() > 5) {
    return Error(StatusCode::kInvalidArgument, "'{}': expected one to five stages", text);
  }
  return stages;
}

}  // namespace fastvlm::train
