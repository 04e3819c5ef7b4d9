#include <algorithm>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "grammar/schema_writer.h"
#include "text/unicode.h"

namespace fastvlm::grammar {
namespace {

constexpr size_t kMaxProperties = 1000;
constexpr size_t kMaxOptionalRun = 256;      // optional properties in a row: any may come next
constexpr size_t kMaxCountedStates = 4096;   // properties times the counts of those written
constexpr int kMaxCountedProperties = 1000;  // that "minProperties" and "maxProperties" count

struct PropertyToWrite {
  std::string name;
  Place place;
  bool required = false;
};

class ObjectWriter {
 public:
  ObjectWriter(const SchemaWriter& writer, const Place& place)
      : writer_(writer),
        network_(writer.network),
        text_(writer.text),
        place_(place),
        names_{Json(true), place.path + "/propertyNames"} {}

  Status Write(StateId from, StateId to) {
    FASTVLM_RETURN_IF_ERROR(ListProperties());
    FASTVLM_RETURN_IF_ERROR(RestrictNames());
    if (list_.size() > kMaxProperties || LongestOptionalRun() > kMaxOptionalRun) {
      return SchemaError(place_.path,
                         "{} properties, of them {} optional ones in a row; the limits are {} and "
                         "{}",
                         list_.size(), LongestOptionalRun(), kMaxProperties, kMaxOptionalRun);
    }
    FASTVLM_ASSIGN_OR_RETURN(const Bounds count, Counts(place_, "minProperties", "maxProperties",
                                                        kMaxCountedProperties));
    const int listed = static_cast<int>(list_.size());
    const bool enough = count.min <= static_cast<int>(CountRequired());
    const bool few = count.max == kUnlimited || (!additional_ && listed <= count.max);
    const StateId open = network_.AddText(from, "{");
    return enough && few ? Listed(open, to) : Counted(count, open, to);
  }

 private:
  size_t CountRequired() const {
    return static_cast<size_t>(std::count_if(
        list_.begin(), list_.end(), [](const auto& property) { return property.required; }));
  }

  size_t LongestOptionalRun() const {
    size_t run = 0, longest = 0;
    for (const PropertyToWrite& property : list_) {
      run = property.required ? 0 : run + 1;
      longest = std::max(longest, run);
    }
    return longest;
  }

  // Properties in the order of the schema, then required ones that it does not describe.
  Status ListProperties() {
    const Json& schema = place_.schema;
    std::set<std::string> required;
    std::vector<std::string> undescribed;
    const Json* properties = Member(schema, "properties");
    if (const Json* names = Member(schema, "required")) {
      for (const Json& name : *names) {
        const bool is_new = required.insert(name.get<std::string>()).second;
        if (is_new && (properties == nullptr || !properties->contains(name.get<std::string>()))) {
          undescribed.push_back(name);
        }
      }
    }
    if (properties != nullptr) {
      for (const auto& [name, property] : properties->items()) {
        list_.push_back({name,
                         {property, place_.path + "/properties" + PointerStep(name)},
                         required.count(name) > 0});
      }
    }
    const Json* additional = Member(schema, "additionalProperties");
    const Place others = {additional == nullptr ? Json(true) : *additional,
                          place_.path + "/additionalProperties"};
    for (const std::string& name : undescribed) list_.push_back({name, others, true});
    if (additional == nullptr && !list_.empty()) return {};
    FASTVLM_ASSIGN_OR_RETURN(const Json flat, writer_.schemas.Flatten(others));
    if (flat != Json(false)) additional_ = others;
    return {};
  }

  // Applies "propertyNames". If it lists the names, they become optional properties.
  Status RestrictNames() {
    const Json* names = Member(place_.schema, "propertyNames");
    if (names == nullptr) return {};
    names_.schema = *names;
    FASTVLM_ASSIGN_OR_RETURN(names_.schema, writer_.schemas.Flatten(names_));
    if (names_.schema == Json(true)) return {};
    FASTVLM_ASSIGN_OR_RETURN(const auto values, ListOfValues(writer_.schemas, names_));
    if (names_.schema == Json(false) || values) {
      std::vector<std::string> allowed;
      for (const Json& value : values.value_or(std::vector<Json>())) {
        if (value.is_string()) allowed.push_back(value);
      }
      for (PropertyToWrite& property : list_) {
        if (!Contains(allowed, property.name)) property.place.schema = false;
      }
      for (const std::string& name : allowed) {
        const bool known = std::any_of(list_.begin(), list_.end(),
                                       [&](const auto& property) { return property.name == name; });
        if (!known && additional_) list_.push_back({name, *additional_, false});
      }
      additional_.reset();
      return {};
    }
    for (const char* keyword : {"anyOf", "oneOf", "enum", "const"}) {
      if (!names_.schema.contains(keyword)) continue;
      return SchemaError(place_.path, "keyword \"propertyNames\" with \"{}\" is not supported",
                         keyword);
    }
    FASTVLM_ASSIGN_OR_RETURN(const auto types, Types(names_));
    const bool strings = Contains(types, "string");
    FASTVLM_ASSIGN_OR_RETURN(const Strings allowed, StringsOf(writer_.schemas, names_, {}));
    for (PropertyToWrite& property : list_) {
      const std::u32string name = ToCodePoints(property.name);
      const int length = static_cast<int>(name.size());
      const bool ok = strings && (allowed.automaton ? Accepts(*allowed.automaton, name)
                                                    : allowed.length.min <= length &&
                                                          length <= allowed.length.max);
      if (!ok) property.place.schema = false;
    }
    if (!strings) additional_.reset();
    return {};
  }

  // Adds the name of a property, a colon and its value.
  void Property(const PropertyToWrite& property, StateId rule, StateId from, StateId to) {
    const StateId key_end = network_.AddText(from, QuotedJson(property.name));
    network_.AddCall(text_.AddSeparator(key_end, ':'), rule, to);
  }

  Status Listed(StateId open, StateId to) {
    // In state `first` no property is written yet, in `next` at least one is. `choice` is a state
    // after a comma from which an optional property may come, and those behind it as well; or -1.
    StateId first = open, next = network_.AddState(), choice = -1;
    size_t required_left = CountRequired();
    for (const PropertyToWrite& property : list_) {
      FASTVLM_ASSIGN_OR_RETURN(const StateId rule, writer_.rule(property.place));
      const StateId comma = text_.AddSeparator(next, ',');
      if (choice >= 0) network_.AddFree(choice, comma);
      if (required_left == 0) network_.AddByte(next, '}', to);
      const StateId key = network_.AddState();
      network_.AddFree(comma, key);
      network_.AddFree(first, key);
      const StateId after = network_.AddState();
      Property(property, rule, key, after);
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
    if (!additional_) return {};
    FASTVLM_ASSIGN_OR_RETURN(const StateId rule, writer_.rule(*additional_));
    const StateId key = network_.AddState();
    const StateId key_end = network_.AddState();
    FASTVLM_RETURN_IF_ERROR(OtherKey(key, key_end));
    const StateId more = network_.AddState();
    network_.AddCall(text_.AddSeparator(key_end, ':'), rule, more);
    network_.AddByte(more, '}', to);
    network_.AddFree(text_.AddSeparator(more, ','), key);
    network_.AddFree(first, key);
    network_.AddFree(text_.AddSeparator(next, ','), key);
    // After a comma, additional properties may come as well.
    if (choice >= 0) network_.AddFree(choice, key);
    return {};
  }

  // Adds the key of an additional property: it is none of the listed names.
  Status OtherKey(StateId from, StateId to) {
    std::vector<std::string> names;
    for (const PropertyToWrite& property : list_) names.push_back(property.name);
    const char* const keywords[] = {"minLength", "maxLength", "pattern", "format"};
    if (std::any_of(std::begin(keywords), std::end(keywords), [&](const char* keyword) {
          return Member(names_.schema, keyword) != nullptr;
        })) {
      FASTVLM_ASSIGN_OR_RETURN(const Strings strings, StringsOf(writer_.schemas, names_, names));
      if (strings.automaton) {
        text_.AddString(from, *strings.automaton, to);
      } else if (strings.length.min <= strings.length.max) {
        text_.AddString(from, strings.length.min, strings.length.max, to);
      }
    } else if (names.empty()) {
      text_.AddString(from, 0, kUnlimited, to);
    } else {
      text_.AddOtherKey(from, names, to);
    }
    return {};
  }

  // The same with states for each number of properties that have been written.
  Status Counted(Bounds count, StateId open, StateId to) {
    const size_t listed = list_.size();
    // A key of additional properties may come twice, so that only the first of them surely adds to
    // the number of different ones.
    const size_t surely = listed + (additional_ ? 1 : 0);
    if (additional_ && static_cast<size_t>(count.min) > surely) {
      return SchemaError(place_.path,
                         "keyword \"minProperties\" of {} is not supported here: only listed "
                         "properties and one more are sure to have different names",
                         count.min);
    }
    const int cap = count.max == kUnlimited ? count.min : count.max;
    if ((listed + 1) * static_cast<size_t>(cap + 1) > kMaxCountedStates) {
      return SchemaError(place_.path,
                         "keyword \"{}\" of {} beside {} properties is not supported: too many "
                         "cases to count",
                         count.max == kUnlimited ? "minProperties" : "maxProperties", cap, listed);
    }
    // States after so many properties; -1 where there cannot be so many. With no greatest number,
    // the last state stands for `cap` and more.
    std::vector<StateId> here(static_cast<size_t>(cap) + 1, -1);
    const auto after = [&](size_t written) {
      return count.max == kUnlimited ? std::min(written + 1, here.size() - 1) : written + 1;
    };
    const auto state = [&](std::vector<StateId>& states, size_t at) {
      if (states[at] < 0) states[at] = network_.AddState();
      return states[at];
    };
    const auto begin = [&](size_t written) {
      return written == 0 ? here[0] : text_.AddSeparator(here[written], ',');
    };
    here[0] = open;
    for (const PropertyToWrite& property : list_) {
      FASTVLM_ASSIGN_OR_RETURN(const StateId rule, writer_.rule(property.place));
      std::vector<StateId> next(here.size(), -1);
      for (size_t i = 0; i < here.size() && !network_.full(); ++i) {
        if (here[i] < 0) continue;
        if (!property.required) network_.AddFree(here[i], state(next, i));
        if (after(i) < here.size()) Property(property, rule, begin(i), state(next, after(i)));
      }
      here = std::move(next);
      if (network_.full()) return {};
    }
    for (size_t i = static_cast<size_t>(count.min); i < here.size(); ++i) {
      if (here[i] >= 0) network_.AddByte(here[i], '}', to);
    }
    return additional_ ? CountedOthers(count, here, to) : Status();
  }

  // Additional properties after here[i], where i properties are written.
  Status CountedOthers(Bounds count, const std::vector<StateId>& here, StateId to) {
    FASTVLM_ASSIGN_OR_RETURN(const StateId rule, writer_.rule(*additional_));
    // The key is a sub-network, because it comes for each count.
    const StateId key = network_.AddState();
    const StateId key_final = network_.AddState();
    network_.state(key_final).final = true;
    FASTVLM_RETURN_IF_ERROR(OtherKey(key, key_final));
    std::vector<StateId> more(here.size(), -1);
    const auto add = [&](StateId from, size_t written) {
      const size_t at = count.max == kUnlimited ? std::min(written, more.size() - 1) : written;
      if (at >= more.size()) return;
      if (more[at] < 0) {
        more[at] = network_.AddState();
        network_.AddByte(more[at], '}', to);
      }
      const StateId key_end = network_.AddState();
      network_.AddCall(from, key, key_end);
      network_.AddCall(text_.AddSeparator(key_end, ':'), rule, more[at]);
    };
    for (size_t i = 0; i < here.size() && !network_.full(); ++i) {
      if (here[i] < 0 || i + 1 < static_cast<size_t>(count.min)) continue;
      add(i == 0 ? here[0] : text_.AddSeparator(here[i], ','), i + 1);
    }
    for (size_t i = 0; i < more.size() && !network_.full(); ++i) {
      if (more[i] >= 0) add(text_.AddSeparator(more[i], ','), i + 1);
    }
    return {};
  }

  const SchemaWriter& writer_;
  Network& network_;
  JsonText& text_;
  const Place& place_;
  Place names_;  // what "propertyNames" says, flat
  std::vector<PropertyToWrite> list_;
  std::optional<Place> additional_;  // what properties that are not listed follow, if there are any
};

}  // namespace

Status WriteObject(const SchemaWriter& writer, const Place& place, StateId from, StateId to) {
  return ObjectWriter(writer, place).Write(from, to);
}

}  // namespace fastvlm::grammar
