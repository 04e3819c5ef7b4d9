#include "server/common_fields.h"

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

// Reads each sampling option by its name and range in fastvlm/options.h, except where the APIs are
// meant to differ from it.
struct SamplingReader {
  const char* penalty_name;
  RequestFields& fields;
  Call& call;

  void operator()(const char* name, float& value, const char*, FieldRange range) const {
    const std::string_view option = name;
    if (option == "temperature") range.high = 2;  // OpenAI's limit
    if (option == "top_p") range.above_low = false;
    fields.Number(option == "repetition_penalty" ? penalty_name : name, range, &value);
    // In the APIs a top_p of 0 takes the likeliest token alone; the sampler has no such share.
    if (option == "top_p") value = std::max(value, std::numeric_limits<float>::min());
  }

  void operator()(const char* name, int& top_k, const char*, const FieldRange&) const {
    int64_t value = 0;
    // -1 stands for all tokens in vLLM's API, as 0 does here.
    if (fields.Integer(name, -1, std::numeric_limits<int>::max(), &value)) {
      top_k = static_cast<int>(std::max<int64_t>(value, 0));
    }
  }

  void operator()(const char* name, uint64_t& seed, const char*, const FieldRange&) const {
    int64_t value = 0;
    // OpenAI's seed is a signed number.
    if (fields.Integer(name, INT64_MIN, INT64_MAX, &value)) {
      seed = static_cast<uint64_t>(value);
      call.seed_given = true;
    }
  }
};

}  // namespace

void ReadSampling(const char* penalty_name, RequestFields& fields, Call& call) {
  VisitFields(call.request.generate.sampling, SamplingReader{penalty_name, fields, call});
}

void ReadStop(const char* name, size_t most, RequestFields& fields, Call& call) {
  const json* stop = fields.Find(name);
  if (stop == nullptr) return;
  const auto right = [](const json& text) {
    return text.is_string() && !text.get_ref<const std::string&>().empty() &&
           text.get_ref<const std::string&>().size() <= kMaxStopBytes;
  };
  if (right(*stop)) {
    call.request.stop = {stop->get<std::string>()};
  } else if (stop->is_array() && stop->size() <= most &&
             std::all_of(stop->begin(), stop->end(), right)) {
    call.request.stop = stop->get<std::vector<std::string>>();
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
  if (!ParseResolution(*resolution, call.request.encode)) {
    fields.Wrong("resolution", "pixels, for example 512 or \"640x448\"", *resolution);
  }
}

void SetMaxTokens(int64_t value, const CallLimits& limits, Call& call) {
  call.request.generate.max_tokens = static_cast<int>(std::min<int64_t>(value, limits.max_tokens));
}

}  // namespace fastvlm
