// From a JSON schema to a network over the bytes of the JSON texts it allows.
#ifndef FASTVLM_GRAMMAR_COMPILER_H_
#define FASTVLM_GRAMMAR_COMPILER_H_

#include <string_view>

#include "base/status.h"
#include "grammar/network.h"

namespace fastvlm::grammar {

// A network on which Finish was called. Every text that it accepts follows the schema; it does not
// accept all that follow it, and docs/STRUCTURED_OUTPUT.md says which. kInvalidArgument, with the
// place in the schema, if something in it is not supported, too large, or allows no value.
Result<Network> CompileSchema(std::string_view schema_json);

}  // namespace fastvlm::grammar

#endif  // FASTVLM_GRAMMAR_COMPILER_H_
