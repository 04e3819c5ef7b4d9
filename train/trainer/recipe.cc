#include "train/trainer/recipe.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "base/json.h"

namespace fastvlm::train {
namespace {

using nlohmann::json;

constexpr size_t kMaxRecipeBytes = size_t{1} << 20;

// A number of at least `low`; `value` stays as it is where the field is absent.
Status ReadNumber(const JsonFields& fields, const char* name, double low, double* value) {
  const json* found = fields.Find(name);
  if (found == nullptr) return {};
  if (!found->is_number() || found->get<double>() < low) {
    return fields.Wrong(name, fmt::format("a number of at least {}", low));
  }
  *value = found->get<double>();
  return {};
}

Status ReadInteger(const JsonFields& fields, const char* name, int64_t low, int64_t high,
                   int64_t* value) {
  FASTVLM_ASSIGN_OR_RETURN(*value, fields.IntegerOr(name, low, high, *value));
  return {};
}

// Refuses a field that means nothing here, most likely a misspelt one.
Status CheckNames(const JsonFields& fields, const json& object,
                  std::initializer_list<const char*> known) {
  for (const auto& [name, value] : object.items()) {
    bool found = false;
    for (const char* k : known) found |= name == k;
    if (!found) {
      return Error(StatusCode::kDataError, "{}: unknown field {}", fields.path(),
                   fields.FieldName(name.c_str()));
    }
  }
  return {};
}

Status ReadNetwork(const JsonFields& fields, const json& object, NetworkConfig* config) {
  FASTVLM_RETURN_IF_ERROR(
      CheckNames(fields, object,
                 {"stages", "multi_branch", "layer_scale", "image_size", "hidden", "layers",
                  "heads", "kv_heads", "intermediate", "rope_theta", "max_positions"}));
  FASTVLM_ASSIGN_OR_RETURN(const std::string stages, fields.StringOr("stages", ""));
  FASTVLM_ASSIGN_OR_RETURN(config->stages, ParseStages(stages));
  FASTVLM_ASSIGN_OR_RETURN(config->multi_branch, fields.BoolOr("multi_branch", false));
  double layer_scale = config->layer_scale;
  FASTVLM_RETURN_IF_ERROR(ReadNumber(fields, "layer_scale", 0, &layer_scale));
  config->layer_scale = static_cast<float>(layer_scale);
  FASTVLM_RETURN_IF_ERROR(ReadInteger(fields, "image_size", 32, 4096, &config->image_size));
  FASTVLM_RETURN_IF_ERROR(ReadInteger(fields, "hidden", 2, 8192, &config->hidden));
  FASTVLM_RETURN_IF_ERROR(ReadInteger(fields, "layers", 1, 100, &config->layers));
  FASTVLM_RETURN_IF_ERROR(ReadInteger(fields, "heads", 1, 256, &config->heads));
  FASTVLM_RETURN_IF_ERROR(ReadInteger(fields, "kv_heads", 1, config->heads, &config->kv_heads));
  FASTVLM_RETURN_IF_ERROR(ReadInteger(fields, "intermediate", 1, 65536, &config->intermediate));
  FASTVLM_RETURN_IF_ERROR(ReadNumber(fields, "rope_theta", 1, &config->rope_theta));
  FASTVLM_RETURN_IF_ERROR(ReadInteger(fields, "max_positions", 64, 65536, &config->max_positions));
  if (config->hidden % (2 * config->heads) != 0) {
    return fields.Wrong("hidden", fmt::format("a multiple of twice the {} heads", config->heads));
  }
  if (config->heads % config->kv_heads != 0) {
    return fields.Wrong("kv_heads", fmt::format("a divisor of the {} heads", config->heads));
  }
  if (config->image_size % config->stride() != 0) {
    return fields.Wrong("image_size",
                        fmt::format("a multiple of the stride, {}", config->stride()));
  }
  return {};
}

// [[height, width, weight], ...]
Status ReadSizes(const JsonFields& fields, int64_t stride, std::vector<SizeChoice>* sizes) {
  const json* list = fields.Find("sizes");
  const std::string expected =
      fmt::format("a list of [height, width, weight], pixels in multiples of {}", stride);
  if (list == nullptr || !list->is_array() || list->empty()) return fields.Wrong("sizes", expected);
  for (const json& entry : *list) {
    if (!entry.is_array() || entry.size() != 3 || !entry[0].is_number_unsigned() ||
        !entry[1].is_number_unsigned() || !entry[2].is_number()) {
      return fields.Wrong("sizes", expected);
    }
    const SizeChoice size{entry[0].get<int64_t>(), entry[1].get<int64_t>(), entry[2].get<double>()};
    const auto fits = [&](int64_t side) {
      return side >= stride && side <= 4096 && side % stride == 0;
    };
    if (!fits(size.height) || !fits(size.width) || size.weight <= 0) {
      return fields.Wrong("sizes", expected);
    }
    sizes->push_back(size);
  }
  return {};
}

// [one, two, group, alike, text, text and thing]
Status ReadLayouts(const JsonFields& fields, Phase* phase) {
  const json* list = fields.Find("layouts");
  if (list == nullptr) return {};
  const std::string expected =
      fmt::format("a list of {} weights, not all 0", phase->layouts.size());
  if (!list->is_array() || list->size() != phase->layouts.size()) {
    return fields.Wrong("layouts", expected);
  }
  float total = 0;
  for (size_t i = 0; i < phase->layouts.size(); ++i) {
    const json& weight = (*list)[i];
    if (!weight.is_number() || weight.get<float>() < 0) return fields.Wrong("layouts", expected);
    phase->layouts[i] = weight.get<float>();
    total += phase->layouts[i];
  }
  return total > 0 ? Status() : fields.Wrong("layouts", expected);
}

Status ReadPhase(const JsonFields& fields, const json& object, const Recipe& recipe, Phase* phase) {
  FASTVLM_RETURN_IF_ERROR(
      CheckNames(fields, object,
                 {"name", "data", "steps", "batch", "micro_batch", "sizes", "turns", "layouts",
                  "text_share", "pad", "learning_rate", "final_factor", "warmup", "encoder_factor",
                  "answer_weight", "tied_weight", "class_weight", "place_weight", "look_weight"}));
  FASTVLM_ASSIGN_OR_RETURN(phase->name, fields.StringOr("name", "phase"));
  FASTVLM_ASSIGN_OR_RETURN(const std::string data, fields.StringOr("data", ""));
  if (data != "crops" && data != "scenes") return fields.Wrong("data", "\"crops\" or \"scenes\"");
  phase->data = data == "crops" ? PhaseData::kCrops : PhaseData::kScenes;
  FASTVLM_ASSIGN_OR_RETURN(phase->steps, fields.Integer("steps", 1, INT64_C(1) << 40));
  FASTVLM_RETURN_IF_ERROR(ReadInteger(fields, "batch", 1, 65536, &phase->batch));
  FASTVLM_RETURN_IF_ERROR(ReadInteger(fields, "micro_batch", 1, 4096, &phase->micro_batch));
  if (phase->batch % (recipe.shards * phase->micro_batch) != 0) {
    return fields.Wrong("batch", fmt::format("a multiple of {} shards of {} pictures",
                                             recipe.shards, phase->micro_batch));
  }
  FASTVLM_RETURN_IF_ERROR(ReadSizes(fields, recipe.network.stride(), &phase->sizes));
  for (const SizeChoice& size : phase->sizes) {
    if (phase->data == PhaseData::kCrops && size.height != size.width) {
      return fields.Wrong("sizes", "squares, because these are crops,");
    }
  }
  FASTVLM_RETURN_IF_ERROR(ReadInteger(fields, "turns", 1, 64, &phase->turns));
  FASTVLM_RETURN_IF_ERROR(ReadLayouts(fields, phase));
  FASTVLM_ASSIGN_OR_RETURN(phase->pad, fields.BoolOr("pad", false));
  FASTVLM_RETURN_IF_ERROR(ReadNumber(fields, "text_share", 0, &phase->text_share));
  FASTVLM_RETURN_IF_ERROR(ReadNumber(fields, "learning_rate", 0, &phase->learning_rate));
  FASTVLM_RETURN_IF_ERROR(ReadNumber(fields, "final_factor", 0, &phase->final_factor));
  FASTVLM_RETURN_IF_ERROR(ReadNumber(fields, "warmup", 0, &phase->warmup));
  FASTVLM_RETURN_IF_ERROR(ReadNumber(fields, "encoder_factor", 0, &phase->encoder_factor));
  FASTVLM_RETURN_IF_ERROR(ReadNumber(fields, "answer_weight", 0, &phase->answer_weight));
  FASTVLM_RETURN_IF_ERROR(ReadNumber(fields, "tied_weight", 0, &phase->tied_weight));
  FASTVLM_RETURN_IF_ERROR(ReadNumber(fields, "class_weight", 0, &phase->class_weight));
  FASTVLM_RETURN_IF_ERROR(ReadNumber(fields, "place_weight", 0, &phase->place_weight));
  return ReadNumber(fields, "look_weight", 0, &phase->look_weight);
}

}  // namespace

Result<Recipe> ReadRecipe(const std::string& path) {
  FASTVLM_ASSIGN_OR_RETURN(const json object, ReadJsonObject(path, kMaxRecipeBytes));
  const JsonFields fields(object, path);
  FASTVLM_RETURN_IF_ERROR(CheckNames(
      fields, object, {"seed", "shards", "weight_decay", "gradient_clip", "network", "phases"}));
  Recipe recipe;
  FASTVLM_ASSIGN_OR_RETURN(const int64_t seed, fields.IntegerOr("seed", 0, INT64_MAX, 1));
  recipe.seed = static_cast<uint64_t>(seed);
  FASTVLM_RETURN_IF_ERROR(ReadInteger(fields, "shards", 1, 256, &recipe.shards));
  FASTVLM_RETURN_IF_ERROR(ReadNumber(fields, "weight_decay", 0, &recipe.weight_decay));
  FASTVLM_RETURN_IF_ERROR(ReadNumber(fields, "gradient_clip", 0, &recipe.gradient_clip));
  const json* network = fields.Find("network");
  if (network == nullptr || !network->is_object()) return fields.Wrong("network", "an object");
  FASTVLM_RETURN_IF_ERROR(
      ReadNetwork(JsonFields(*network, path, "network."), *network, &recipe.network));
  recipe.fingerprint = network->dump();
  const json* phases = fields.Find("phases");
  if (phases == nullptr || !phases->is_array() || phases->empty()) {
    return fields.Wrong("phases", "a list of phases");
  }
  for (size_t i = 0; i < phases->size(); ++i) {
    const json& phase = (*phases)[i];
    if (!phase.is_object()) return fields.Wrong("phases", "a list of objects");
    FASTVLM_RETURN_IF_ERROR(ReadPhase(JsonFields(phase, path, fmt::format("phases[{}].", i)), phase,
                                      recipe, &recipe.phases.emplace_back()));
  }
  return recipe;
}

double LearningRate(const Phase& phase, int64_t step) {
  const double warm = std::max(1.0, phase.warmup * static_cast<double>(phase.steps));
  const double at = static_cast<double>(step) + 1;
  if (at < warm) return phase.learning_rate * at / warm;
  const double rest = std::max(1.0, static_cast<double>(phase.steps) - warm);
  const double cosine = 0.5 * (1 + std::cos(std::numbers::pi * std::min(1.0, (at - warm) / rest)));
  return phase.learning_rate * (phase.final_factor + (1 - phase.final_factor) * cosine);
}

}  // namespace fastvlm::train
