#include "grammar/compiler.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <utility>

#include "base/json.h"
#include "base/printable.h"
#include "grammar/formats.h"
#include "grammar/json_text.h"
#include "grammar/regex.h"
#include "grammar/schema.h"
#include "grammar/schema_numbers.h"

namespace fastvlm::grammar {
namespace {

constexpr size_t kMaxAlternatives = 256;
constexpr size_t kMaxProperties = 1000;
constexpr size_t kMaxOptionalRun = 256;  // optional properties in a row: any may come next
// Strings and lists with a greatest length have at most so many elements, even if it is larger.
constexpr int kMaxCountedLength = 4096;
constexpr int kMaxCountedItems = 1024;

bool HasAny(const Json& schema, std::initializer_list<const char*> names) {
  return std::any_of(names.begin(), names.end(),
                     [&](const char* name) { return schema.contains(name); });
}

// The types of a flat schema. If it names none, they are those that its keywords are about.
Result<std::vector<std::string>> TypesToWrite(const Place& place) {
  const Json& schema = place.schema;
  std::vector<std::string> types;
  if (!schema.contains("type")) {
    if (HasAny(schema, {"properties", "required", "additionalProperties"})) {
      types.push_back("object");
    }
    if (HasAny(schema, {"items", "prefixItems", "minItems", "maxItems"})) types.push_back("array");
    if (HasAny(schema, {"minLength", "maxLength", "pattern", "format"})) types.push_back("string");
    if (HasAny(schema, {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})) {
      types.push_back("number");
    }
    if (!types.empty()) return types;
  }
  FASTVLM_ASSIGN_OR_RETURN(types, Types(place));
  const bool number = std::find(types.begin(), types.end(), "number") != types.end();
  std::erase_if(types, [&](const std::string& type) { return number && type == "integer"; });
  return types;
}

struct PropertyToWrite {
  std::string name;
  Place place;
  bool required = false;
};

class Compiler {
 public:
  explicit Compiler(Json root) : schemas_(std::move(root)), text_(network_) {}

  Result<Network> Compile() {
    FASTVLM_ASSIGN_OR_RETURN(const StateId start, Rule({schemas_.root(), "#"}));
    // A rule may need others, which wait in a queue, so that nested schemas need no recursion.
    while (!waiting_.empty()) {
      const Waiting rule = std::move(waiting_.front());
      waiting_.pop_front();
      const StateId end = network_.AddState();
      network_.state(end).final = true;
      FASTVLM_RETURN_IF_ERROR(Value(rule.place, rule.start, end));
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
    if (type == "object") return Object(place, from, to);
    if (type == "array") return Array(place, from, to);
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

  // The value of a keyword like minLength; `absent` if it is not there.
  static int64_t Count(const Json& schema, const char* name, int64_t absent) {
    const Json* value = Member(schema, name);
    if (value == nullptr) return absent;
    if (value->is_number_float()) {
      return static_cast<int64_t>(std::min(value->get<double>(), 1e15));
    }
    return static_cast<int64_t>(std::min<uint64_t>(value->get<uint64_t>(), 1u << 30));
  }

  struct Bounds {
    int min, max;
  };
  static Result<Bounds> Counts(const Place& place, const char* min_name, const char* max_name,
                               int limit) {
    const int64_t min = Count(place.schema, min_name, 0);
    const int64_t max = Count(place.schema, max_name, kUnlimited);
    if (min > limit) {
      return SchemaError(place.path, "\"{}\" is {}, more than the limit of {}", min_name, min,
                         limit);
    }
    return Bounds{static_cast<int>(min), place.schema.contains(max_name)
                                             ? static_cast<int>(std::min<int64_t>(max, limit))
                                             : kUnlimited};
  }

  Status String(const Place& place, StateId from, StateId to) {
    FASTVLM_ASSIGN_OR_RETURN(const Bounds length,
                             Counts(place, "minLength", "maxLength", kMaxCountedLength));
    const Json* pattern = Member(place.schema, "pattern");
    const Json* format = Member(place.schema, "format");
    if (pattern == nullptr && format == nullptr) {
      if (length.min <= length.max) text_.AddString(from, length.min, length.max, to);
      return {};
    }
    if (pattern != nullptr && format != nullptr) {
      return SchemaError(place.path, "\"pattern\" beside \"format\" is not supported");
    }
    std::string regex;
    if (pattern != nullptr) {
      regex = pattern->get<std::string>();
    } else {
      const std::string name = format->get<std::string>();
      const char* known = FormatPattern(name);
      if (known == nullptr) {
        return SchemaError(place.path, "format {} is not supported; known are {}", Quoted(name),
                           FormatNames());
      }
      regex = known;
    }
    const Result<Expression> expression = ParseRegex(regex);
    if (!expression.ok()) {
      return SchemaError(place.path, "pattern {} {}", Quoted(regex), expression.status().message());
    }
    const Result<CharAutomaton> automaton = BuildAutomaton(*expression, length.min, length.max);
    if (!automaton.ok()) {
      return SchemaError(place.path, "pattern {}: {}", Quoted(regex), automaton.status().message());
    }
    text_.AddString(from, *automaton, to);
    return {};
  }

  Status Bare(const Place& place, const Expression& expression, StateId from, StateId to) {
    const Result<CharAutomaton> automaton = BuildAutomaton(expression, 0, kUnlimited);
    if (!automaton.ok()) return SchemaError(place.path, "{}", automaton.status().message());
    text_.AddBare(from, *automaton, to);
    return {};
  }

  Status Integer(const Place& place, StateId from, StateId to) {
    FASTVLM_ASSIGN_OR_RETURN(const auto integers, IntegersOf(place));
    return integers ? Bare(place, *integers, from, to) : Status();
  }

  Status Number(const Place& place, StateId from, StateId to) {
    FASTVLM_ASSIGN_OR_RETURN(const Expression numbers, NumbersOf(place));
    return Bare(place, numbers, from, to);
  }

  Status Array(const Place& place, StateId from, StateId to) {
    FASTVLM_ASSIGN_OR_RETURN(const Bounds count,
                             Counts(place, "minItems", "maxItems", kMaxCountedItems));
    std::vector<StateId> prefix;
    if (const Json* items = Member(place.schema, "prefixItems")) {
      for (size_t i = 0; i < items->size(); ++i) {
        FASTVLM_ASSIGN_OR_RETURN(
            const StateId rule,
            Rule({(*items)[i], fmt::format("{}/prefixItems/{}", place.path, i)}));
        prefix.push_back(rule);
      }
    }
    // Further items follow "items", or may be anything without it. After a prefix without "items"
    // no more come than there must be.
    int max = count.max;
    StateId further;
    if (const Json* items = Member(place.schema, "items")) {
      FASTVLM_ASSIGN_OR_RETURN(further, Rule({*items, place.path + "/items"}));
    } else {
      further = text_.AnyValue();
      if (!prefix.empty())
        max = std::min(max, std::max(static_cast<int>(prefix.size()), count.min));
    }
    const int prefix_size = static_cast<int>(prefix.size());
    const int counted = max == kUnlimited ? std::max({prefix_size, count.min, 1}) : max;
    StateId here = network_.AddText(from, "[");
    for (int i = 0; i <= counted && !network_.full(); ++i) {
      if (i >= count.min) network_.AddByte(here, ']', to);
      if (max != kUnlimited && i == max) break;
      const StateId item = i == 0 ? here : text_.AddSeparator(here, ',');
      const StateId next = i == counted ? here : network_.AddState();
      network_.AddCall(item, i < prefix_size ? prefix[static_cast<size_t>(i)] : further, next);
      here = next;
    }
    return {};
  }

  // Properties in the order of the schema, then required ones that it does not describe.
  Result<std::vector<PropertyToWrite>> Properties(const Place& place) const {
    std::set<std::string> required;
    std::vector<std::string> undescribed;
    const Json* properties = Member(place.schema, "properties");
    const Json* additional = Member(place.schema, "additionalProperties");
    if (const Json* names = Member(place.schema, "required")) {
      for (const Json& name : *names) {
        const bool is_new = required.insert(name.get<std::string>()).second;
        if (is_new && (properties == nullptr || !properties->contains(name.get<std::string>()))) {
          undescribed.push_back(name);
        }
      }
    }
    std::vector<PropertyToWrite> list;
    size_t run = 0, longest_run = 0;
    if (properties != nullptr) {
      for (const auto& [name, schema] : properties->items()) {
        const bool needed = required.count(name) > 0;
        run = needed ? 0 : run + 1;
        longest_run = std::max(longest_run, run);
        list.push_back({name, {schema, place.path + "/properties" + PointerStep(name)}, needed});
      }
    }
    for (const std::string& name : undescribed) {
      list.push_back(
          {name,
           {additional == nullptr ? Json(true) : *additional, place.path + "/additionalProperties"},
           true});
    }
    if (list.size() > kMaxProperties || longest_run > kMaxOptionalRun) {
      return SchemaError(place.path,
                         "{} properties, of them {} optional ones in a row; the limits are {} and "
                         "{}",
                         list.size(), longest_run, kMaxProperties, kMaxOptionalRun);
    }
    return list;
  }

  Status Object(const Place& place, StateId from, StateId to) {
    FASTVLM_ASSIGN_OR_RETURN(const std::vector<PropertyToWrite> list, Properties(place));
    const StateId open = network_.AddText(from, "{");
    // In state `first` no property is written yet, in `next` at least one is. `choice` is a state
    // after a comma from which an optional property may come, and those behind it as well; or -1.
    StateId first = open, next = network_.AddState(), choice = -1;
    size_t required_left = static_cast<size_t>(std::count_if(
        list.begin(), list.end(), [](const auto& property) { return property.required; }));
    for (const PropertyToWrite& property : list) {
      FASTVLM_ASSIGN_OR_RETURN(const StateId rule, Rule(property.place));
      const StateId comma = text_.AddSeparator(next, ',');
      if (choice >= 0) network_.AddFree(choice, comma);
      if (required_left == 0) network_.AddByte(next, '}', to);
      const StateId key = network_.AddState();
      network_.AddFree(comma, key);
      network_.AddFree(first, key);
      const StateId key_end = network_.AddText(key, QuotedJson(property.name));
      const StateId after = network_.AddState();
      network_.AddCall(text_.AddSeparator(key_end, ':'), rule, after);
      // An optional property may be left out: then those behind it may come at once.
      const StateId without = network_.AddState();
      if (!property.required) network_.AddFree(first, without);
      choice = property.required ? -1 : comma;
      if (property.required) --required_left;
      first = without;
      next = after;
      if (network_.full()) return {};
    }
    if (required_left == 0) {
      network_.AddByte(first, '}', to);
      network_.AddByte(next, '}', to);
    }
    return AdditionalProperties(place, list, first, next, choice, to);
  }

  // choice: a state after a comma from which additional properties may come as well, or -1.
  Status AdditionalProperties(const Place& place, const std::vector<PropertyToWrite>& list,
                              StateId first, StateId next, StateId choice, StateId to) {
    const Json* additional = Member(place.schema, "additionalProperties");
    if (additional == nullptr && !list.empty()) return {};
    Json schema = additional == nullptr ? Json(true) : *additional;
    FASTVLM_ASSIGN_OR_RETURN(const StateId rule,
                             Rule({std::move(schema), place.path + "/additionalProperties"}));
    std::vector<std::string> names;
    for (const PropertyToWrite& property : list) names.push_back(property.name);
    const StateId key = network_.AddState();
    const StateId key_end = network_.AddState();
    if (names.empty()) {
      text_.AddString(key, 0, kUnlimited, key_end);
    } else {
      text_.AddOtherKey(key, names, key_end);
    }
    const StateId more = network_.AddState();
    network_.AddCall(text_.AddSeparator(key_end, ':'), rule, more);
    network_.AddByte(more, '}', to);
    network_.AddFree(text_.AddSeparator(more, ','), key);
    network_.AddFree(first, key);
    network_.AddFree(text_.AddSeparator(next, ','), key);
    if (choice >= 0) network_.AddFree(choice, key);
    return {};
  }

  Schemas schemas_;
  Network network_;
  JsonText text_;
  std::map<std::string, StateId> rules_;  // by the text of the flat schema
  std::deque<Waiting> waiting_;
};

}  // namespace

Result<Network> CompileSchema(std::string_view schema_json) {
  FASTVLM_ASSIGN_OR_RETURN(Json root, ParseSchema(schema_json));
  return Compiler(std::move(root)).Compile();
}

}  // namespace fastvlm::grammar
