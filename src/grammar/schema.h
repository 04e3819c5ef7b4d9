// Making JSON schemas flat: following "$ref" and joining "allOf".
#ifndef FASTVLM_GRAMMAR_SCHEMA_H_
#define FASTVLM_GRAMMAR_SCHEMA_H_

#include <cstddef>
#include <string>

#include "base/status.h"
#include "grammar/schema_json.h"
#include "grammar/steps.h"

namespace fastvlm::grammar {

// A schema and the places in it, to which others refer.
class Schemas {
 public:
  explicit Schemas(Json root, StopFn stop = {}) : root_(std::move(root)), steps_(std::move(stop)) {}

  const Json& root() const { return root_; }

  // The schema at `place` without "$ref" and "allOf" at its top: what they say is joined with the
  // rest. Keywords that only describe are left out; an unknown one is an error.
  Result<Json> Flatten(const Place& place);

  // A flat schema of the values that both allow.
  Result<Json> Join(const Place& a, const Place& b);

  // True if it can be seen that no value follows both.
  Result<bool> Disjoint(const Place& a, const Place& b, int depth = 0);

  // Of all automata that are made for the schema.
  Steps& steps() { return steps_; }
  // An error with the place if they are used up or stopped.
  Status CheckSteps(const std::string& path) const;

  // Counts work, and is an error beyond a limit, so that a small schema cannot ask for much of it.
  Status Spend(const std::string& path, size_t amount);

 private:
  Result<Place> Find(const std::string& reference, const std::string& path) const;
  Result<Json> JoinFlat(const Json& a, const Json& b, const std::string& path);

  const Json root_;
  Steps steps_;
  size_t spent_ = 0;
  int depth_ = 0;
};

}  // namespace fastvlm::grammar

#endif  // FASTVLM_GRAMMAR_SCHEMA_H_
