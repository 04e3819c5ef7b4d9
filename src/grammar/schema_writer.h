// The parts of a network for strings, arrays and objects, by the keywords of a flat schema.
#ifndef FASTVLM_GRAMMAR_SCHEMA_WRITER_H_
#define FASTVLM_GRAMMAR_SCHEMA_WRITER_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "grammar/characters.h"
#include "grammar/json_text.h"
#include "grammar/network.h"
#include "grammar/schema.h"
#include "grammar/schema_json.h"

namespace fastvlm::grammar {

// What the parts are made with. `rule` gives the state in which the sub-network of a schema begins.
struct SchemaWriter {
  Schemas& schemas;
  Network& network;
  JsonText& text;
  std::function<Result<StateId>(const Place&)> rule;
};

// The strings that a flat schema allows by its "pattern", "format", "minLength" and "maxLength".
struct Strings {
  Bounds length;
  std::optional<CharAutomaton> automaton;  // without one, any strings of that length
};
// `except` are strings that are not among them, whatever the schema says.
Result<Strings> StringsOf(Schemas& schemas, const Place& place,
                          const std::vector<std::string>& except);

// The values of a schema that lists them, as "enum", "const" and the types boolean and null do,
// each of them once; nothing if it does not.
Result<std::optional<std::vector<Json>>> ListOfValues(Schemas& schemas, const Place& place,
                                                      int depth = 0);

// Adds what leads from `from` to `to`: an array or an object that follows the flat schema.
Status WriteArray(const SchemaWriter& writer, const Place& place, StateId from, StateId to);
Status WriteObject(const SchemaWriter& writer, const Place& place, StateId from, StateId to);

}  // namespace fastvlm::grammar

#endif  // FASTVLM_GRAMMAR_SCHEMA_WRITER_H_
