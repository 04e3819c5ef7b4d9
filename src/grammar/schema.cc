#include "grammar/schema.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/json.h"
#include "base/printable.h"

namespace fastvlm::grammar {
namespace {

constexpr int kMaxJoins = 64;                        // "$ref" and "allOf" within each other
constexpr size_t kMaxSchemaBytes = size_t{8} << 20;  // bytes of schema that compiling looks at

// Whether two values are equal, whatever the order of their members.
bool Same(const Json& a, const Json& b) { return nlohmann::json(a) == nlohmann::json(b); }

bool HasValue(const Json& values, const Json& value) {
  return std::any_of(values.begin(), values.end(),
                     [&](const Json& candidate) { return Same(candidate, value); });
}

// The values that a flat schema lists with "enum" or "const"; nothing if it has neither.
std::optional<Json> ListedValues(const Json& schema) {
  if (const Json* value = Member(schema, "const")) return Json::array({*value});
  if (const Json* values = Member(schema, "enum")) return *values;
  return std::nullopt;
}

std::string Unescaped(std::string_view step) {
  std::string name;
  for (size_t i = 0; i < step.size(); ++i) {
    const auto hex = [&](size_t at) {
      const char c = at < step.size() ? step[at] : 'x';
      if (c >= '0' && c <= '9') return c - '0';
      if (c >= 'a' && c <= 'f') return c - 'a' + 10;
      if (c >= 'A' && c <= 'F') return c - 'A' + 10;
      return -1;
    };
    if (step[i] == '%' && hex(i + 1) >= 0 && hex(i + 2) >= 0) {
      name += static_cast<char>(hex(i + 1) * 16 + hex(i + 2));
      i += 2;
    } else {
      name += step[i];
    }
  }
  for (const auto& [from, to] : {std::pair("~1", "/"), std::pair("~0", "~")}) {
    for (size_t at = 0; (at = name.find(from, at)) != std::string::npos; ++at) {
      name.replace(at, 2, to);
    }
  }
  return name;
}

Json AllOf(const Json& a, const Json& b) {
  if (a == b) return a;
  if (a == Json(true)) return b;
  if (b == Json(true)) return a;
  Json both;
  both["allOf"] = Json::array({a, b});
  return both;
}

// A property that only one of the schemas lists has to follow what the other one says about
// additional properties.
void JoinObjects(const Json& a, const Json& b, Json& joined) {
  const auto properties = [](const Json& schema) {
    const Json* found = Member(schema, "properties");
    return found != nullptr && found->is_object() ? *found : Json::object();
  };
  const auto additional = [](const Json& schema) {
    const Json* found = Member(schema, "additionalProperties");
    return found == nullptr ? Json(true) : *found;
  };
  const Json in_a = properties(a), in_b = properties(b);
  if (a.contains("properties") || b.contains("properties")) {
    Json all = Json::object();
    for (const auto& [name, schema] : in_a.items()) {
      const Json* other = Member(in_b, name.c_str());
      all[name] = AllOf(schema, other == nullptr ? additional(b) : *other);
    }
    for (const auto& [name, schema] : in_b.items()) {
      if (!in_a.contains(name)) all[name] = AllOf(additional(a), schema);
    }
    joined["properties"] = std::move(all);
  }
  if (a.contains("additionalProperties") && b.contains("additionalProperties")) {
    joined["additionalProperties"] = AllOf(additional(a), additional(b));
  }
  if (a.contains("required") && b.contains("required")) {
    for (const Json& name : b["required"]) {
      Json& names = joined["required"];
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
}

void JoinArrays(const Json& a, const Json& b, Json& joined) {
  const auto prefix = [](const Json& schema) {
    const Json* found = Member(schema, "prefixItems");
    return found != nullptr && found->is_array() ? *found : Json::array();
  };
  const auto items = [](const Json& schema) {
    const Json* found = Member(schema, "items");
    return found == nullptr ? Json(true) : *found;
  };
  if (a.contains("prefixItems") || b.contains("prefixItems")) {
    const Json in_a = prefix(a), in_b = prefix(b);
    Json all = Json::array();
    for (size_t i = 0; i < std::max(in_a.size(), in_b.size()); ++i) {
      all.push_back(
          AllOf(i < in_a.size() ? in_a[i] : items(a), i < in_b.size() ? in_b[i] : items(b)));
    }
    joined["prefixItems"] = std::move(all);
  }
  if (a.contains("items") && b.contains("items")) joined["items"] = AllOf(items(a), items(b));
}

}  // namespace

Status Schemas::CheckSteps(const std::string& path) const {
  const Status status = steps_.status();
  if (status.ok() || status.code() == StatusCode::kCancelled) return status;
  return SchemaError(path, "{}", status.message());
}

Status Schemas::Spend(const std::string& path, size_t amount) {
  spent_ += amount;
  if (!steps_.Look()) return CheckSteps(path);
  if (spent_ <= kMaxSchemaBytes) return {};
  return SchemaError(path,
                     "too complex: its references, \"allOf\" or \"anyOf\" multiply when followed");
}

Result<Place> Schemas::Find(const std::string& reference, const std::string& path) const {
  if (reference != "#" && !reference.starts_with("#/")) {
    return SchemaError(path, "$ref {}: only places of the same schema (\"#/...\") are supported",
                       Quoted(reference));
  }
  const Json* found = &root_;
  std::string_view rest = std::string_view(reference).substr(1);
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const size_t slash = std::min(rest.find('/'), rest.size());
    const std::string name = Unescaped(rest.substr(0, slash));
    rest.remove_prefix(slash);
    const Json* next = nullptr;
    if (found->is_array() && !name.empty() && name.size() < 9 &&
        name.find_first_not_of("0123456789") == std::string::npos) {
      const size_t index = std::stoul(name);
      if (index < found->size()) next = &(*found)[index];
    } else {
      next = Member(*found, name.c_str());
    }
    if (next == nullptr) {
      return SchemaError(path, "$ref {} leads nowhere: there is no {}", Quoted(reference),
                         Quoted(name));
    }
    found = next;
  }
  return Place{*found, Printable(reference)};
}

Result<Json> Schemas::Flatten(const Place& place) {
  FASTVLM_RETURN_IF_ERROR(Spend(place.path, 64));
  FASTVLM_RETURN_IF_ERROR(CheckKeywords(place));
  if (place.schema.is_boolean()) return place.schema;
  if (depth_ >= kMaxJoins) {
    return SchemaError(place.path, "\"$ref\" or \"allOf\" lead more than {} times to each other",
                       kMaxJoins);
  }
  Json rest = Json::object();
  for (const auto& [name, value] : place.schema.items()) {
    const bool joins = name == "$ref" || name == "allOf" || name == "nullable";
    const bool says_nothing =
        OnlyDescribes(name) || (name == "uniqueItems" && value == Json(false));
    if (!joins && !says_nothing) rest[name] = value;
  }
  // OpenAPI's way to allow null; it speaks of the type that stands beside it, and of nothing else.
  const Json* nullable = Member(place.schema, "nullable");
  if (nullable != nullptr && *nullable == Json(true) && rest.contains("type")) {
    FASTVLM_ASSIGN_OR_RETURN(auto types, Types(place));
    if (!Contains(types, "null")) types.push_back("null");
    rest["type"] = types;
  }
  std::vector<Place> others;
  if (const Json* reference = Member(place.schema, "$ref")) {
    FASTVLM_ASSIGN_OR_RETURN(Place target, Find(reference->get<std::string>(), place.path));
    others.push_back(std::move(target));
  }
  if (const Json* list = Member(place.schema, "allOf")) {
    for (size_t i = 0; i < list->size(); ++i) {
      others.push_back({(*list)[i], fmt::format("{}/allOf/{}", place.path, i)});
    }
  }
  ++depth_;
  Json flat = std::move(rest);
  Status status;
  for (const Place& other : others) {
    Result<Json> flat_other = Flatten(other);
    if (!flat_other.ok()) {
      status = flat_other.status();
      break;
    }
    Result<Json> joined = JoinFlat(flat, *flat_other, place.path);
    if (!joined.ok()) {
      status = joined.status();
      break;
    }
    flat = std::move(joined).value();
  }
  --depth_;
  if (!status.ok()) return status;
  return flat;
}

Result<Json> Schemas::Join(const Place& a, const Place& b) {
  FASTVLM_ASSIGN_OR_RETURN(const Json flat_a, Flatten(a));
  FASTVLM_ASSIGN_OR_RETURN(const Json flat_b, Flatten(b));
  return JoinFlat(flat_a, flat_b, b.path);
}

Result<Json> Schemas::JoinFlat(const Json& a, const Json& b, const std::string& path) {
  FASTVLM_RETURN_IF_ERROR(Spend(path, 64));
  if (a == Json(true) || (a.is_object() && a.empty())) return b;
  if (b == Json(true) || (b.is_object() && b.empty())) return a;
  if (a.is_boolean() || b.is_boolean()) return Json(false);
  FASTVLM_RETURN_IF_ERROR(Spend(path, a.dump().size() + b.dump().size()));
  Json joined = a;
  for (const auto& [name, value] : b.items()) {
    const Json* mine = Member(a, name.c_str());
    if (mine == nullptr) {
      joined[name] = value;
    } else if (name == "minLength" || name == "minItems" || name == "minimum" ||
               name == "exclusiveMinimum" || name == "minProperties") {
      if (value > *mine) joined[name] = value;
    } else if (name == "maxLength" || name == "maxItems" || name == "maximum" ||
               name == "exclusiveMaximum" || name == "maxProperties") {
      if (value < *mine) joined[name] = value;
    } else if (name == "propertyNames") {
      joined[name] = AllOf(*mine, value);
    } else if (name != "type" && name != "enum" && name != "const" && name != "properties" &&
               name != "required" && name != "additionalProperties" && name != "items" &&
               name != "prefixItems" && value != *mine) {
      return SchemaError(path, "two different {} for one value cannot be joined", Quoted(name));
    }
  }
  if (a.contains("type") && b.contains("type")) {
    FASTVLM_ASSIGN_OR_RETURN(const auto types_a, Types({a, path}));
    FASTVLM_ASSIGN_OR_RETURN(const auto types_b, Types({b, path}));
    Json types = Json::array();
    for (const std::string& type : types_a) {
      const bool also_integer = type == "integer" && Contains(types_b, "number");
      if (Contains(types_b, type) || also_integer) types.push_back(type);
      if (type == "number" && !Contains(types_b, type) && Contains(types_b, "integer")) {
        types.push_back("integer");
      }
    }
    if (types.empty()) return Json(false);
    joined["type"] = std::move(types);
  }
  const std::optional<Json> values_a = ListedValues(a), values_b = ListedValues(b);
  if (values_a && values_b) {
    Json both = Json::array();
    for (const Json& value : *values_a) {
      if (HasValue(*values_b, value)) both.push_back(value);
    }
    joined.erase("const");
    joined["enum"] = std::move(both);
  }
  JoinObjects(a, b, joined);
  JoinArrays(a, b, joined);
  return joined;
}

Result<bool> Schemas::Disjoint(const Place& a, const Place& b, int depth) {
  FASTVLM_ASSIGN_OR_RETURN(const Json x, Flatten(a));
  FASTVLM_ASSIGN_OR_RETURN(const Json y, Flatten(b));
  if (x == Json(false) || y == Json(false)) return true;
  if (x.is_boolean() || y.is_boolean()) return false;
  FASTVLM_ASSIGN_OR_RETURN(const auto types_x, Types({x, a.path}));
  FASTVLM_ASSIGN_OR_RETURN(const auto types_y, Types({y, b.path}));
  const auto listed_x = ListedValues(x), listed_y = ListedValues(y);
  if (listed_x || listed_y) {
    // They are disjoint if the other schema allows none of the listed values.
    const Json& values = listed_x ? *listed_x : *listed_y;
    const auto& types = listed_x ? types_y : types_x;
    const auto& other = listed_x ? listed_y : listed_x;
    return std::all_of(values.begin(), values.end(), [&](const Json& value) {
      const bool typed = std::any_of(types.begin(), types.end(),
                                     [&](const auto& type) { return IsOfType(value, type); });
      return !typed || (other && !HasValue(*other, value));
    });
  }
  std::vector<std::string> shared;
  for (const std::string& type : types_x) {
    if (Contains(types_y, type) || (type == "integer" && Contains(types_y, "number")) ||
        (type == "number" && Contains(types_y, "integer"))) {
      shared.push_back(type);
    }
  }
  if (shared.empty()) return true;
  if (shared != std::vector<std::string>{"object"} || depth >= 8) return false;
  // Looks for a property that one of them requires and for which no value follows both.
  for (const auto& [one, other] : {std::pair(&x, &y), std::pair(&y, &x)}) {
    const Json* required = Member(*one, "required");
    const Json* mine = Member(*one, "properties");
    const Json* theirs = Member(*other, "properties");
    if (required == nullptr || !required->is_array()) continue;
    for (const Json& name : *required) {
      if (!name.is_string()) continue;
      const std::string key = name.get<std::string>();
      const Json* p = mine == nullptr ? nullptr : Member(*mine, key.c_str());
      const Json* q = theirs == nullptr ? nullptr : Member(*theirs, key.c_str());
      if (q == nullptr) {
        const Json* additional = Member(*other, "additionalProperties");
        if (additional != nullptr && *additional == Json(false)) return true;
        continue;
      }
      if (p == nullptr) continue;
      FASTVLM_ASSIGN_OR_RETURN(
          const bool differ, Disjoint({*p, a.path + "/properties" + PointerStep(key)},
                                      {*q, b.path + "/properties" + PointerStep(key)}, depth + 1));
      if (differ) return true;
    }
  }
  return false;
}

}  // namespace fastvlm::grammar
