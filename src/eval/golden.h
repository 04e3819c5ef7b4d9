// Checks of a model's numbers and words against those another implementation computed.
#ifndef FASTVLM_EVAL_GOLDEN_H_
#define FASTVLM_EVAL_GOLDEN_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fastvlm/fastvlm.h"

namespace fastvlm {

// Which pictures a file may name. One that came with a model is a stranger's: it names pictures
// beside it, not others of this machine or of the network.
enum class GoldenImages { kBesideTheFile, kAnywhere };

// One prompt and what must come of it: some of the first logits, words of the answer, or both.
struct GoldenCheck {
  std::string image;  // path or URL; "" for a prompt without a picture
  std::string prompt;
  EncodeOptions encode;
  int64_t prompt_tokens = 0;  // expected, image included; 0: any
  // Logits of the token after the prompt, by token id.
  std::vector<int32_t> logit_ids;
  std::vector<float> logits;
  double tolerance = 0;  // largest difference that passes
  // What the greedy answer must be.
  int max_tokens = 0;                 // 0: no answer is asked for
  std::vector<int32_t> token_ids;     // exactly these, if any
  std::vector<std::string> contains;  // each of these
};

struct Golden {
  std::string model;   // what it is about: "FastVLM-0.5B"
  std::string source;  // who computed it, and how
  std::vector<GoldenCheck> checks;
};

// Reads a file such as
//   {"model": "FastVLM-0.5B", "source": "...", "checks": [
//     {"image": "cats.jpg", "fit": "crop", "width": 1024, "height": 1024,
//      "prompt": "What are these?", "prompt_tokens": 280,
//      "logits": {"0": 4.125, "1": 9.6875}, "tolerance": 0.25},
//     {"image": "cats.jpg", "prompt": "What is this?",
//      "max_tokens": 20, "contains": ["two cats"], "token_ids": [785, 2168]}]}
// Images are relative to the file, or http(s) URLs; see GoldenImages. Width and height 0 or absent:
// the model's own; fit is pad if absent. kNotFound, kIoError; kDataError names the field.
Result<Golden> ReadGolden(const std::string& path, GoldenImages images);

// The values published for a model of these shapes: the three sizes of Apple's FastVLM.
std::optional<Golden> PublishedGolden(const ModelInfo& info);

struct GoldenResult {
  bool passed = false;
  std::string what;  // "logits 0, 1, 2 after "What are these?""
  std::string expected;
  std::string found;
  double difference = 0;  // largest of the logits; 0 without
};

// Runs a check; `image` is its picture, nullptr if it has none. One result for each of prompt
// length, logits and answer that the check is about. Errors: those of Session::Ask; kDataError if
// a logit's id is not in the model's vocabulary.
Result<std::vector<GoldenResult>> RunGoldenCheck(const std::shared_ptr<const Model>& model,
                                                 const GoldenCheck& check, const Image* image,
                                                 const ProgressFn& progress = {});

}  // namespace fastvlm

#endif  // FASTVLM_EVAL_GOLDEN_H_
