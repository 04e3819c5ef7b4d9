#include "server/common_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace fastvlm {
namespace {

constexpr int kMaxSide = 16384;
constexpr size_t kMaxStopBytes = 1024;
constexpr size_t kMaxStops = 32;
constexpr const char* kAnyObject = R"({"type":"object"})";

// A field that switches a sampler on, its values that do not, and the fields that go with it.
struct OtherSampler {
  const char* field;
  double off = 0;
  std::initializer_list<const char*> companions;
};
const OtherSampler kOtherSamplers[] = {
    {"dry_multiplier",
     0,
     {"dry_base", "dry_allowed_length", "dry_penalty_last_n", "dry_sequence_breakers"}},
    {"xtc_probability", 0, {"xtc_threshold"}},
    {"mirostat", 0, {"mirostat_tau", "mirostat_eta"}},
    {"mirostat_mode", 0, {}},
    {"dynatemp_range", 0, {"dynatemp_exponent"}},
    {"typical_p", 1, {}},
    {"typical", 1, {}},
    {"tfs_z", 1, {}},
    {"tfs", 1, {}},
    {"top_a", 0, {}},
    {"top_n_sigma", -1, {}},
    {"epsilon_cutoff", 0, {}},
    {"eta_cutoff", 0, {}},
    {"smoothing_factor", 0, {"smoothing_curve"}},
    {"penalty_alpha", 0, {}},
    {"no_repeat_ngram_size", 0, {}},
    {"num_beams", 1, {}},
    {"length_penalty", 1, {}},
};

bool ParseSide(std::string_view text, int& side) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), side);
  return error == std::errc() && end == text.data() + text.size() && side > 0 && side <= kMaxSide;
}

bool ParseResolution(const Json& value, EncodeOptions& encode) {
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
  const SamplingNames& names;
  RequestFields& fields;
  Call& call;

  void operator()(const char* name, float& value, const char*, FieldRange range) const {
    const std::string_view option = name;
    if (option == "temperature") range.high = names.max_temperature;
    if (option == "top_p") range.above_low = false;
    fields.Number(option == "repetition_penalty" ? names.repetition_penalty : name, range, &value);
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

// True of "auto" and "none", and of {"type": "auto"} as Anthropic has it.
bool LeavesToolsAlone(const Json& choice) {
  const Json type = choice.is_object() ? choice.value("type", Json()) : choice;
  return type == "auto" || type == "none";
}

}  // namespace

void ReadSampling(const SamplingNames& names, RequestFields& fields, Call& call) {
  VisitFields(call.request.generate.sampling, SamplingReader{names, fields, call});
  for (const OtherSampler& sampler : kOtherSamplers) {
    fields.Refuse(sampler.field, sampler.off);
    fields.Ignore(sampler.companions);
  }
  fields.Ignore({"samplers", "sampler_order", "repeat_last_n", "min_keep"});
}

void ReadStop(const char* name, RequestFields& fields, Call& call) {
  const Json* stop = fields.Find(name);
  if (stop == nullptr) return;
  const auto right = [](const Json& text) {
    return text.is_string() && text.get_ref<const std::string&>().size() <= kMaxStopBytes;
  };
  std::vector<std::string>& texts = call.request.stop;
  if (right(*stop)) {
    texts = {stop->get<std::string>()};
  } else if (stop->is_array() && stop->size() <= kMaxStops &&
             std::all_of(stop->begin(), stop->end(), right)) {
    texts = stop->get<std::vector<std::string>>();
  } else {
    fields.Wrong(name,
                 fmt::format("a string of at most {} bytes, or a list of at most {}", kMaxStopBytes,
                             kMaxStops),
                 *stop);
  }
  std::erase(texts, "");
}

void SetSchema(const Json& schema, const std::string& param, RequestFields& fields, Call& call) {
  std::string& text = call.request.generate.json_schema;
  if (!schema.is_object() && !schema.is_boolean()) {
    return fields.Fail(
        BadRequest(param, fmt::format("Invalid value for '{}': expected a JSON schema, "
                                      "found {}.",
                                      param, ShownValue(schema))));
  }
  if (!text.empty()) {
    return fields.Fail(
        BadRequest(param, fmt::format("'{}' is a second schema; send one of them.", param)));
  }
  text = schema.dump();
}

void SetAnyObject(const std::string& param, RequestFields& fields, Call& call) {
  SetSchema(Json::parse(kAnyObject), param, fields, call);
}

void ReadFormat(const char* name, RequestFields& fields, Call& call) {
  const Json* format = fields.Find(name);
  if (format == nullptr || *format == "") return;
  if (format->is_object()) return SetSchema(*format, fields.Name(name), fields, call);
  if (*format != "json") return fields.Wrong(name, "\"json\" or a JSON schema", *format);
  SetAnyObject(fields.Name(name), fields, call);
}

void ReadResponseFormat(RequestFields& fields, Call& call) {
  const Json* format = fields.Find("response_format");
  if (format == nullptr) return;
  if (!format->is_object()) return fields.Wrong("response_format", "an object", *format);
  RequestFields format_fields(*format, "response_format.");
  std::string type;
  format_fields.String("type", &type);
  if (type == "json_object" || type == "json_schema") {
    // OpenAI has the schema in "json_schema"; other servers take it beside the type as well.
    const Json* beside = format_fields.Find("schema");
    const Json* wrapper = format_fields.Find("json_schema");
    const Json* inside = nullptr;
    if (wrapper != nullptr && wrapper->is_object()) {
      RequestFields wrapper_fields(*wrapper, "response_format.json_schema.");
      inside = wrapper_fields.Find("schema");
      wrapper_fields.Ignore({"name", "strict", "description"});
      if (inside != nullptr) wrapper_fields.RefuseUnknown();
      format_fields.Join(wrapper_fields);
    }
    if (beside != nullptr) SetSchema(*beside, "response_format.schema", fields, call);
    if (inside != nullptr) {
      SetSchema(*inside, "response_format.json_schema.schema", fields, call);
    }
    if (beside == nullptr && inside == nullptr) {
      if (type == "json_schema" || wrapper != nullptr) {
        return fields.Fail(
            BadRequest("response_format.json_schema.schema",
                       "Missing required parameter: 'response_format.json_schema.schema'."));
      }
      SetAnyObject("response_format", fields, call);
    }
  } else if (type != "text") {
    format_fields.Wrong("type", "'text', 'json_object' or 'json_schema'", Json(type));
  }
  format_fields.RefuseUnknown();
  fields.Join(format_fields);
}

void ReadTools(RequestFields& fields, Call& call) {
  bool offered = false;
  for (const char* name : {"tools", "functions"}) {
    const Json* tools = fields.Find(name);
    if (tools == nullptr || (tools->is_array() && tools->empty())) continue;
    if (!tools->is_array()) return fields.Wrong(name, "a list", *tools);
    offered = true;
  }
  for (const char* name : {"tool_choice", "function_call"}) {
    const Json* choice = fields.Find(name);
    if (choice == nullptr || LeavesToolsAlone(*choice)) continue;
    fields.Refuse(name);
  }
  if (offered && fields.ok()) call.notes.emplace_back("tools are never called");
}

void ReadResolution(RequestFields& fields, Call& call) {
  const Json* resolution = fields.Find("resolution");
  if (resolution == nullptr) return;
  if (!ParseResolution(*resolution, call.request.encode)) {
    fields.Wrong("resolution", "pixels, for example 512 or \"640x448\"", *resolution);
  }
}

void ReadBackground(RequestFields& fields, Call& call) {
  const Json* background = fields.Find("background");
  if (background == nullptr) return;
  if (background->is_string()) {
    call.background = ParseColor(background->get_ref<const std::string&>());
  }
  if (!call.background.has_value()) fields.Wrong("background", kExpectedColor, *background);
}

void SetMaxTokens(int64_t value, const CallLimits& limits, Call& call) {
  call.request.generate.max_tokens = static_cast<int>(std::min<int64_t>(value, limits.max_tokens));
}

}  // namespace fastvlm
