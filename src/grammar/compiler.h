// From a JSON schema to a network over the bytes of the JSON texts it allows.
#ifndef FASTVLM_GRAMMAR_COMPILER_H_
#define FASTVLM_GRAMMAR_COMPILER_H_

#include <string_view>

#include "base/status.h"
#include "grammar/network.h"
#include "grammar/steps.h"

namespace fastvlm::grammar {

// A network on which Finish was called. Every text that it accepts follows the schema; it does not
// accept all that follow it, and docs/STRUCTURED_OUTPUT.md says which. kInvalidArgument, with the
// place in the schema, if something in it is not supported, too large, takes more than kMaxSteps,
// or allows no value; kCancelled if `stop` says so meanwhile.
Result<Network> CompileSchema(std::string_view schema_json, StopFn stop = {});

}  // namespace fastvlm::grammar

#endif  // FASTVLM_GRAMMAR_COMPILER_H_
