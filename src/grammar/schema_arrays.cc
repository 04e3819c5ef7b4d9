#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "grammar/schema_writer.h"

namespace fastvlm::grammar {
namespace {

// Lists with a greatest length have at most so many items, even if it is larger.
constexpr int kMaxCountedItems = 1024;
constexpr size_t kMaxUniqueValues = 32;  // that the items of a "uniqueItems" may have
constexpr size_t kMaxUniqueSets = 1024;  // sets of values that have been written
constexpr int kMaxValuesDepth = 8;       // "anyOf" within each other that only list values

// An array that holds no value twice. Its states are the sets of values that have been written.
Status WriteUnique(const SchemaWriter& writer, const Place& place, Bounds count, StateId from,
                   StateId to) {
  const Json* items = Member(place.schema, "items");
  std::optional<std::vector<Json>> values;
  if (items != nullptr && !place.schema.contains("prefixItems")) {
    FASTVLM_ASSIGN_OR_RETURN(values, ListOfValues(writer.schemas, {*items, place.path + "/items"}));
  }
  if (!values || values->size() > kMaxUniqueValues) {
    return SchemaError(place.path,
                       "keyword \"uniqueItems\" is supported only for items that are listed values "
                       "(\"enum\", \"const\", boolean; up to {}), or with \"maxItems\" of 1",
                       kMaxUniqueValues);
  }
  Network& network = writer.network;
  std::vector<StateId> rules;
  for (const Json& value : *values) {
    Json only;
    only["const"] = value;
    FASTVLM_ASSIGN_OR_RETURN(const StateId rule, writer.rule({only, place.path + "/items"}));
    rules.push_back(rule);
  }
  struct Written {
    uint64_t values;  // a bit for each
    int count;
    StateId state;
  };
  std::map<uint64_t, StateId> states;
  std::deque<Written> waiting = {{0, 0, network.AddText(from, "[")}};
  for (; !waiting.empty() && !network.full(); waiting.pop_front()) {
    const Written here = waiting.front();
    if (here.count >= count.min) network.AddByte(here.state, ']', to);
    if (here.count >= count.max || here.count == static_cast<int>(rules.size())) continue;
    const StateId item = here.count == 0 ? here.state : writer.text.AddSeparator(here.state, ',');
    for (size_t i = 0; i < rules.size(); ++i) {
      const uint64_t bit = uint64_t{1} << i;
      if ((here.values & bit) != 0) continue;
      const auto [entry, is_new] = states.try_emplace(here.values | bit, 0);
      if (is_new) {
        entry->second = network.AddState();
        waiting.push_back({here.values | bit, here.count + 1, entry->second});
      }
      network.AddCall(item, rules[i], entry->second);
    }
    if (states.size() > kMaxUniqueSets) {
      return SchemaError(place.path,
                         "keyword \"uniqueItems\" over {} values makes more than the limit of {} "
                         "sets of them; a smaller \"maxItems\" makes fewer",
                         rules.size(), kMaxUniqueSets);
    }
  }
  return {};
}

}  // namespace

Result<std::optional<std::vector<Json>>> ListOfValues(Schemas& schemas, const Place& place,
                                                      int depth) {
  const std::optional<std::vector<Json>> none;
  FASTVLM_ASSIGN_OR_RETURN(const Json flat, schemas.Flatten(place));
  if (flat.is_boolean() || depth > kMaxValuesDepth) return none;
  std::vector<Json> values;
  const auto add = [&](const Json& value) {
    const bool known = std::any_of(values.begin(), values.end(), [&](const Json& other) {
      return nlohmann::json(other) == nlohmann::json(value);
    });
    if (!known) values.push_back(value);
    return !known;
  };
  for (const char* choice : {"anyOf", "oneOf"}) {
    const Json* list = Member(flat, choice);
    if (list == nullptr) continue;
    if (flat.size() > 1) return none;
    for (const Json& schema : *list) {
      FASTVLM_ASSIGN_OR_RETURN(const auto some,
                               ListOfValues(schemas, {schema, place.path}, depth + 1));
      if (!some) return none;
      for (const Json& value : *some) {
        if (!add(value) && flat.contains("oneOf")) return none;
      }
    }
    return std::optional(std::move(values));
  }
  FASTVLM_ASSIGN_OR_RETURN(const std::vector<std::string> types, Types({flat, place.path}));
  const Json* listed = Member(flat, "enum");
  const Json* single = Member(flat, "const");
  for (const auto& [name, value] : flat.items()) {
    if (name != "type" && name != "enum" && name != "const") return none;
  }
  if (listed == nullptr && single == nullptr) {
    for (const std::string& type : types) {
      if (type != "boolean" && type != "null") return none;
      if (type == "null") add(Json());
      if (type == "boolean") add(Json(true));
      if (type == "boolean") add(Json(false));
    }
    return std::optional(std::move(values));
  }
  if (listed != nullptr && single != nullptr) return none;
  for (const Json& value : listed != nullptr ? *listed : Json::array({*single})) {
    const bool allowed = std::any_of(
        types.begin(), types.end(), [&](const std::string& type) { return IsOfType(value, type); });
    if (allowed) add(value);
  }
  return std::optional(std::move(values));
}

Status WriteArray(const SchemaWriter& writer, const Place& place, StateId from, StateId to) {
  Network& network = writer.network;
  FASTVLM_ASSIGN_OR_RETURN(const Bounds count,
                           Counts(place, "minItems", "maxItems", kMaxCountedItems));
  if (place.schema.contains("uniqueItems") && count.max > 1) {
    return WriteUnique(writer, place, count, from, to);
  }
  std::vector<StateId> prefix;
  if (const Json* items = Member(place.schema, "prefixItems")) {
    for (size_t i = 0; i < items->size(); ++i) {
      FASTVLM_ASSIGN_OR_RETURN(
          const StateId rule,
          writer.rule({(*items)[i], fmt::format("{}/prefixItems/{}", place.path, i)}));
      prefix.push_back(rule);
    }
  }
  // Further items follow "items", or may be anything without it. After a prefix without "items"
  // no more come than there must be.
  int max = count.max;
  StateId further;
  if (const Json* items = Member(place.schema, "items")) {
    FASTVLM_ASSIGN_OR_RETURN(further, writer.rule({*items, place.path + "/items"}));
  } else {
    further = writer.text.AnyValue();
    if (!prefix.empty()) max = std::min(max, std::max(static_cast<int>(prefix.size()), count.min));
  }
  const int prefix_size = static_cast<int>(prefix.size());
  const int counted = max == kUnlimited ? std::max({prefix_size, count.min, 1}) : max;
  StateId here = network.AddText(from, "[");
  for (int i = 0; i <= counted && !network.full(); ++i) {
    if (i >= count.min) network.AddByte(here, ']', to);
    if (max != kUnlimited && i == max) break;
    const StateId item = i == 0 ? here : writer.text.AddSeparator(here, ',');
    const StateId next = i == counted ? here : network.AddState();
    network.AddCall(item, i < prefix_size ? prefix[static_cast<size_t>(i)] : further, next);
    here = next;
  }
  return {};
}

}  // namespace fastvlm::grammar
