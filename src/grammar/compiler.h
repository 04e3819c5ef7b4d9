// From a JSON schema to a network over the bytes of the JSON texts it allows.
#ifndef FASTVLM_GRAMMAR_COMPILER_H_
#define FASTVLM_GRAMMAR_COMPILER_H_

#include <string_view>

#include "base/status.h"
#include "grammar/network.h"

namespace fastvlm::grammar {

// A finished network. Every text it accepts follows the schema; docs/STRUCTURED_OUTPUT.md says
// which of those that do it leaves out. kInvalidArgument, with the place in the schema, for what is
// not supported, too large, or cannot be satisfied.
Result<Network> CompileSchema(std::string_view schema_json);

}  // namespace fastvlm::grammar

#endif  // FASTVLM_GRAMMAR_COMPILER_H_
