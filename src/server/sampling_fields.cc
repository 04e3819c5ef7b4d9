#include "server/sampling_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace fastvlm {
namespace {

using nlohmann::json;

constexpr int kMaxSide = 16384;
constexpr size_t kMaxStopBytes = 1024;

bool ParseSide(std::string_view text, int& side) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), side);
  return error == std::errc() && end == text.data() + text.size() && side > 0 && side <= kMaxSide;
}

bool ParseResolution(const json& value, EncodeOptions& encode) {
  if (value.is_number_integer()) {
    const double side = value.get<double>();
    if (side < 1 || side > kMaxSide) return false;
    encode.width = encode.height = static_cast<int>(side);
    return true;
  }
  if (!value.is_string()) return false;
  const std::string& text = value.get_ref<const std::string&>();
  const size_t cross = text.find('x');
  if (cross == std::string::npos) {
    return ParseSide(text, encode.width) && ParseSide(text, encode.height);
  }
  return ParseSide(std::string_view(text).substr(0, cross), encode.width) &&
         ParseSide(std::string_view(text).substr(cross + 1), encode.height);
}

}  // namespace

void ReadSampling(const char* penalty_name, RequestFields& fields, Call& call) {
  SamplingOptions& sampling = call.generate.sampling;
  fields.Number("temperature", 0, 2, &sampling.temperature);
  fields.Number("top_p", 0, 1, &sampling.top_p);
  // 0 stands for the likeliest token alone; the sampler has no such share.
  sampling.top_p = std::max(sampling.top_p, std::numeric_limits<float>::min());
  fields.Number("min_p", 0, 1, &sampling.min_p);
  fields.Number(penalty_name, 0.01, 100, &sampling.repetition_penalty);
  int64_t integer = 0;
  if (fields.Integer("top_k", -1, std::numeric_limits<int>::max(), &integer)) {
    sampling.top_k = static_cast<int>(std::max<int64_t>(integer, 0));  // -1: all, as vLLM has it
  }
  if (fields.Integer("seed", INT64_MIN, INT64_MAX, &integer)) {
    sampling.seed = static_cast<uint64_t>(integer);
    call.seed_given = true;
  }
}

void ReadStop(const char* name, size_t most, RequestFields& fields, Call& call) {
  const json* stop = fields.Find(name);
  if (stop == nullptr) return;
  const auto right = [](const json& text) {
    return text.is_string() && !text.get_ref<const std::string&>().empty() &&
           text.get_ref<const std::string&>().size() <= kMaxStopBytes;
  };
  if (right(*stop)) {
    call.stop = {stop->get<std::string>()};
  } else if (stop->is_array() && stop->size() <= most &&
             std::all_of(stop->begin(), stop->end(), right)) {
    call.stop = stop->get<std::vector<std::string>>();
  } else {
    fields.Wrong(
        name,
        fmt::format("a string of 1 to {} bytes, or a list of at most {}", kMaxStopBytes, most),
        *stop);
  }
}

void ReadResolution(RequestFields& fields, Call& call) {
  const json* resolution = fields.Find("resolution");
  if (resolution == nullptr) return;
  if (!ParseResolution(*resolution, call.encode)) {
    fields.Wrong("resolution", "pixels, for example 512 or \"640x448\"", *resolution);
  }
}

void SetMaxTokens(int64_t value, const CallLimits& limits, Call& call) {
  call.generate.max_tokens = static_cast<int>(std::min<int64_t>(value, limits.max_tokens));
}

}  // namespace fastvlm
