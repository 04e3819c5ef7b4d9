#include "grammar/compiler.h"

#include <algorithm>
#include <deque>
#include <map>
#include <utility>

#include "base/json.h"
#include "base/printable.h"
#include "grammar/json_text.h"
#include "grammar/schema.h"
#include "grammar/schema_numbers.h"
#include "grammar/schema_writer.h"

namespace fastvlm::grammar {
namespace {

constexpr size_t kMaxAlternatives = 256;

bool HasAny(const Json& schema, std::initializer_list<const char*> names) {
  return std::any_of(names.begin(), names.end(),
                     [&](const char* name) { return schema.contains(name); });
}

// The types of a flat schema. If it names none, they are those that its keywords are about.
Result<std::vector<std::string>> TypesToWrite(const Place& place) {
  const Json& schema = place.schema;
  std::vector<std::string> types;
  if (!schema.contains("type")) {
    if (HasAny(schema, {"properties", "required", "additionalProperties", "propertyNames",
                        "minProperties", "maxProperties"})) {
      types.push_back("object");
    }
    if (HasAny(schema, {"items", "prefixItems", "minItems", "maxItems", "uniqueItems"})) {
      types.push_back("array");
    }
    if (HasAny(schema, {"minLength", "maxLength", "pattern", "format"})) types.push_back("string");
    if (HasAny(schema,
               {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})) {
      types.push_back("number");
    }
    if (!types.empty()) return types;
  }
  FASTVLM_ASSIGN_OR_RETURN(types, Types(place));
  const bool number = std::find(types.begin(), types.end(), "number") != types.end();
  std::erase_if(types, [&](const std::string& type) { return number && type == "integer"; });
  return types;
}

class Compiler {
 public:
  Compiler(Json root, StopFn stop) : schemas_(std::move(root), std::move(stop)), text_(network_) {}
  Compiler(const Compiler&) = delete;
  Compiler& operator=(const Compiler&) = delete;

  Result<Network> Compile() {
    FASTVLM_RETURN_IF_ERROR(schemas_.Spend("#", 0));  // it may be stopped before it begins
    FASTVLM_ASSIGN_OR_RETURN(const StateId start, Rule({schemas_.root(), "#"}));
    // A rule may need others, which wait in a queue, so that nested schemas need no recursion.
    while (!waiting_.empty()) {
      const Waiting rule = std::move(waiting_.front());
      waiting_.pop_front();
      const StateId end = network_.AddState();
      network_.state(end).final = true;
      FASTVLM_RETURN_IF_ERROR(Value(rule.place, rule.start, end));
      FASTVLM_RETURN_IF_ERROR(schemas_.Spend(rule.place.path, 0));
      if (network_.full()) {
        return SchemaError(rule.place.path, "the grammar needs more than the limit of {} states",
                           kMaxStates);
      }
    }
    if (!network_.Finish(start)) {
      return SchemaError("#", "no value follows it, or only one nested deeper than {} levels",
                         kMaxDepth);
    }
    return std::move(network_);
  }

 private:
  struct Waiting {
    Place place;  // flat
    StateId start;
  };

  // Where the sub-network of a schema begins. Schemas that say the same share one.
  Result<StateId> Rule(const Place& place) {
    FASTVLM_ASSIGN_OR_RETURN(Json flat, schemas_.Flatten(place));
    if (flat == Json(true) || (flat.is_object() && flat.empty())) return text_.AnyValue();
    std::string key = flat.dump();
    FASTVLM_RETURN_IF_ERROR(schemas_.Spend(place.path, key.size()));
    const auto [entry, is_new] = rules_.try_emplace(std::move(key), 0);
    if (is_new) {
      entry->second = network_.AddState();
      waiting_.push_back({{std::move(flat), place.path}, entry->second});
    }
    return entry->second;
  }

  Status Value(const Place& place, StateId from, StateId to) {
    const Json& schema = place.schema;
    if (schema.is_boolean()) return {};  // false
    if (HasAny(schema, {"anyOf", "oneOf"})) return Alternatives(place, from, to);
    if (HasAny(schema, {"enum", "const"})) return Listed(place, from, to);
    FASTVLM_ASSIGN_OR_RETURN(const std::vector<std::string> types, TypesToWrite(place));
    for (const std::string& type : types) {
      FASTVLM_RETURN_IF_ERROR(OfType(type, place, from, to));
    }
    return {};
  }

  Status OfType(const std::string& type, const Place& place, StateId from, StateId to) {
    if (type == "object") return WriteObject(writer_, place, from, to);
    if (type == "array") return WriteArray(writer_, place, from, to);
    if (type == "string") return String(place, from, to);
    if (type == "integer") return Integer(place, from, to);
    if (type == "number") return Number(place, from, to);
    if (type == "null") {
      network_.AddToTree(from, "null", to);
    } else {
      for (const char* word : {"true", "false"}) network_.AddToTree(from, word, to);
    }
    return {};
  }

  Status Alternatives(const Place& place, StateId from, StateId to) {
    const bool one = place.schema.contains("oneOf");
    const char* name = one ? "oneOf" : "anyOf";
    if (one && place.schema.contains("anyOf")) {
      return SchemaError(place.path, "\"anyOf\" beside \"oneOf\" is not supported");
    }
    Json base = place.schema;
    base.erase(name);
    const Json& list = place.schema[name];
    if (list.size() > kMaxAlternatives) {
      return SchemaError(place.path, "\"{}\" has {} alternatives, more than the limit of {}", name,
                         list.size(), kMaxAlternatives);
    }
    std::vector<Place> choices;
    for (size_t i = 0; i < list.size(); ++i) {
      choices.push_back({list[i], fmt::format("{}/{}/{}", place.path, name, i)});
    }
    for (size_t i = 0; one && i < choices.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        FASTVLM_ASSIGN_OR_RETURN(const bool disjoint, schemas_.Disjoint(choices[j], choices[i]));
        if (disjoint) continue;
        return SchemaError(place.path,
                           "\"oneOf\": a value could follow alternatives {} and {} at once, as far "
                           "as can be seen; write \"anyOf\", or tell them apart by a type or a "
                           "required property with its own \"const\"",
                           j, i);
      }
    }
    for (Place& choice : choices) {
      if (!base.empty()) {
        FASTVLM_ASSIGN_OR_RETURN(choice.schema, schemas_.Join({base, place.path}, choice));
      }
      FASTVLM_ASSIGN_OR_RETURN(const StateId rule, Rule(choice));
      network_.AddCall(from, rule, to);
    }
    return {};
  }

  Status Listed(const Place& place, StateId from, StateId to) {
    for (const auto& [name, value] : place.schema.items()) {
      if (name == "enum" || name == "const" || name == "type") continue;
      return SchemaError(place.path, "{} beside \"enum\" or \"const\" is not supported",
                         Quoted(name));
    }
    FASTVLM_ASSIGN_OR_RETURN(const std::vector<std::string> types, Types(place));
    Json values = place.schema.contains("enum") ? place.schema["enum"] : Json::array();
    if (place.schema.contains("const")) {
      const Json& value = place.schema["const"];
      const bool listed = !place.schema.contains("enum") ||
                          std::find(values.begin(), values.end(), value) != values.end();
      values = listed ? Json::array({value}) : Json::array();
    }
    for (const Json& value : values) {
      const bool allowed = std::any_of(types.begin(), types.end(), [&](const std::string& type) {
        return IsOfType(value, type);
      });
      if (allowed) network_.AddToTree(from, value.dump(), to);
      if (network_.full()) break;
    }
    return {};
  }

  Status String(const Place& place, StateId from, StateId to) {
    FASTVLM_ASSIGN_OR_RETURN(const Strings strings, StringsOf(schemas_, place, {}));
    if (strings.automaton) {
      text_.AddString(from, *strings.automaton, to);
    } else if (strings.length.min <= strings.length.max) {
      text_.AddString(from, strings.length.min, strings.length.max, to);
    }
    return {};
  }

  Status Integer(const Place& place, StateId from, StateId to) {
    FASTVLM_ASSIGN_OR_RETURN(const CharAutomaton integers, IntegersOf(schemas_, place));
    text_.AddBare(from, integers, to);
    return {};
  }

  Status Number(const Place& place, StateId from, StateId to) {
    FASTVLM_ASSIGN_OR_RETURN(const CharAutomaton numbers, NumbersOf(schemas_, place));
    text_.AddBare(from, numbers, to);
    return {};
  }

  Schemas schemas_;
  Network network_;
  JsonText text_;
  const SchemaWriter writer_{schemas_, network_, text_,
                             [this](const Place& place) { return Rule(place); }};
  std::map<std::string, StateId> rules_;  // by the text of the flat schema
  std::deque<Waiting> waiting_;
};

}  // namespace

Result<Network> CompileSchema(std::string_view schema_json, StopFn stop) {
  FASTVLM_ASSIGN_OR_RETURN(Json root, ParseSchema(schema_json));
  return Compiler(std::move(root), std::move(stop)).Compile();
}

}  // namespace fastvlm::grammar
