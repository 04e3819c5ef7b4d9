// How far one form of a model is from another: what a precision or a quantized file loses. The
// better form is the reference, the other one the candidate.
#ifndef FASTVLM_COMPARE_H_
#define FASTVLM_COMPARE_H_

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "fastvlm/export.h"
#include "fastvlm/image.h"
#include "fastvlm/model.h"
#include "fastvlm/options.h"
#include "fastvlm/status.h"

namespace fastvlm {

struct CompareOptions {
  std::string prompt = "Describe the image.";  // without "<image>": the picture comes before it
  int max_tokens = 64;                         // at most so many in the reference's answer; >= 1
  EncodeOptions encode;
};

// The difference in the values after one stage of the encoder or after the projector, over all
// pictures.
struct StageError {
  std::string name;         // "stem", "stage.0" and on, "features", "visual tokens"
  double relative_rms = 0;  // |candidate - reference| / |reference|, Euclidean
  double relative_max = 0;  // largest difference / largest reference value
};

// One picture. The reference answers, always with the likeliest token, and the candidate reads that
// answer token by token.
struct PictureComparison {
  int64_t visual_tokens = 0;
  double cosine_mean = 0;   // mean of the cosines between the visual tokens of both models
  double cosine_worst = 0;  // the least of these cosines
  std::string answer;
  int64_t answer_tokens = 0;  // with the one that ends the answer, if it came to its end
  int64_t agreed = 0;         // how many of these tokens the candidate finds the likeliest too
  // Of the whole answer, natural logarithm.
  double reference_log_probability = 0;
  double candidate_log_probability = 0;
};

struct Comparison {
  std::vector<StageError> stages;
  std::vector<PictureComparison> pictures;
};

// Over all pictures, of which there is at least one.
FASTVLM_EXPORT double CosineMean(const Comparison& comparison);
FASTVLM_EXPORT double CosineWorst(const Comparison& comparison);
FASTVLM_EXPORT double Top1Agreement(const Comparison& comparison);  // 0..1
// exp(-m), where m is the mean log probability of a token of the answers.
FASTVLM_EXPORT double ReferencePerplexity(const Comparison& comparison);
FASTVLM_EXPORT double CandidatePerplexity(const Comparison& comparison);

// Runs both models on each picture. kInvalidArgument if there is no picture, an option is out of
// range or the models differ in shape or vocabulary; kResourceExhausted if prompt and answer do not
// fit the context; kDataError if a model gives values that are not finite.
FASTVLM_EXPORT Result<Comparison> CompareModels(const Model& reference, const Model& candidate,
                                                std::span<const Image> images,
                                                const CompareOptions& options = {},
                                                const ProgressFn& progress = {});

}  // namespace fastvlm

#endif  // FASTVLM_COMPARE_H_
