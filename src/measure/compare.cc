#include "fastvlm/compare.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "base/status.h"
#include "image/preprocess.h"
#include "measure/token_cosine.h"
#include "model/kv_cache.h"
#include "runtime/model_impl.h"
#include "text/chat_prompt.h"

namespace fastvlm {
namespace {

constexpr int64_t kPrefillChunk = 256;  // as a session has it

struct Tapped {
  std::string name;
  std::vector<float> values;
};

// What StageError is made from, summed over pictures.
struct StageSums {
  std::string name;
  double squared_difference = 0, squared_reference = 0;
  double max_difference = 0, max_reference = 0;

  void Add(const std::vector<float>& reference, const float* candidate) {
    for (size_t i = 0; i < reference.size(); ++i) {
      const double r = reference[i];
      const double d = candidate[i] - r;
      squared_difference += d * d;
      squared_reference += r * r;
      max_difference = std::max(max_difference, std::abs(d));
      max_reference = std::max(max_reference, std::abs(r));
    }
  }
  StageError Error() const {
    const auto ratio = [](double a, double b) { return a == 0 ? 0 : a / b; };
    return {name, std::sqrt(ratio(squared_difference, squared_reference)),
            ratio(max_difference, max_reference)};
  }
};

bool AllFinite(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

// The likeliest token, and how likely `target` is (nothing: the likeliest one).
struct Choice {
  int32_t top = 0;
  double log_probability = 0;
};

std::optional<Choice> Choose(std::span<const float> logits, std::optional<int32_t> target) {
  const auto best = std::max_element(logits.begin(), logits.end());
  if (!std::isfinite(*best)) return std::nullopt;
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - *best);
  if (!std::isfinite(sum)) return std::nullopt;
  const auto top = static_cast<int32_t>(best - logits.begin());
  const double chosen = logits[static_cast<size_t>(target.value_or(top))];
  return Choice{top, chosen - *best - std::log(sum)};
}

// One of the two models.
class ComparedModel {
 public:
  ComparedModel(const Model& model, const CompareOptions& options)
      : model_(model), impl_(ImplOf(model)), options_(options) {}

  const ModelInfo& info() const { return model_.info(); }
  const Tokenizer& tokenizer() const { return impl_.tokenizer; }

  Result<PixelTensor> Fit(const Image& image) const {
    FASTVLM_ASSIGN_OR_RETURN(const EncoderSize size, ResolveSize(info(), options_.encode));
    const std::lock_guard lock(impl_.compute_mutex);
    return Preprocess(image, size.height, size.width, options_.encode.fit, &impl_.pool);
  }

  // Visual tokens [tokens, hidden]; `tap` sees every stage and at last the tokens themselves.
  std::vector<float> Encode(const PixelTensor& pixels, const ProgressFn& progress,
                            const TapFn& tap) const {
    const std::lock_guard lock(impl_.compute_mutex);
    const int64_t tokens = impl_.model.TokenCount(pixels.height, pixels.width);
    const int64_t hidden = impl_.model.projector().hidden();
    std::vector<float> features(
        static_cast<size_t>(tokens * impl_.model.encoder().feature_channels()));
    std::vector<float> visual(static_cast<size_t>(tokens * hidden));
    const auto report = [&](double fraction) {
      if (progress) progress(fraction);
      return true;
    };
    impl_.model.encoder().Forward(pixels.values.data(), pixels.height, pixels.width,
                                  features.data(), impl_.vision_workspace, impl_.pool, report, tap);
    impl_.model.projector().Forward(features.data(), tokens, visual.data(), impl_.pool);
    tap("visual tokens", visual.data(), {tokens, hidden});
    return visual;
  }

  // Reads the prompt and then `answer`, or writes its own and puts it there if it is empty. The
  // choice for each token of the answer.
  Result<std::vector<Choice>> Walk(const std::vector<float>& visual,
                                   std::vector<int32_t>* answer) const;

 private:
  Result<std::vector<int32_t>> Prompt() const;
  Status CheckLength(int64_t prompt, int64_t answer) const;
  std::vector<float> Embed(const std::vector<int32_t>& prompt, const std::vector<float>& visual,
                           int64_t total) const;
  bool EndsAnswer(int32_t token) const {
    return std::find(impl_.eos_ids.begin(), impl_.eos_ids.end(), token) != impl_.eos_ids.end();
  }

  const Model& model_;
  const ModelImpl& impl_;
  const CompareOptions& options_;
};

Result<std::vector<int32_t>> ComparedModel::Prompt() const {
  const ChatTurn turn{ChatRole::kUser, options_.prompt, 1};
  FASTVLM_ASSIGN_OR_RETURN(const std::string text, BuildPrompt({&turn, 1}));
  return TokenizePrompt(impl_.tokenizer, text);
}

Status ComparedModel::CheckLength(int64_t prompt, int64_t answer) const {
  const int64_t context = info().context_tokens;
  if (prompt + answer <= context) return {};
  return Error(StatusCode::kResourceExhausted,
               "prompt and answer need {} tokens, but the context of {} holds {}; lower the "
               "resolution or max-tokens",
               prompt + answer, info().directory, context);
}

std::vector<float> ComparedModel::Embed(const std::vector<int32_t>& prompt,
                                        const std::vector<float>& visual, int64_t total) const {
  const Decoder& decoder = impl_.model.decoder();
  const int64_t hidden = decoder.config().hidden;
  std::vector<float> embeddings(static_cast<size_t>(total * hidden));
  float* out = embeddings.data();
  for (const int32_t id : prompt) {
    if (id == kImageTokenIndex) {
      out = std::copy(visual.begin(), visual.end(), out);
    } else {
      decoder.Embed(&id, 1, out);
      out += hidden;
    }
  }
  return embeddings;
}

Result<std::vector<Choice>> ComparedModel::Walk(const std::vector<float>& visual,
                                                std::vector<int32_t>* answer) const {
  const Decoder& decoder = impl_.model.decoder();
  const int64_t hidden = decoder.config().hidden;
  FASTVLM_ASSIGN_OR_RETURN(const std::vector<int32_t> prompt, Prompt());
  const int64_t length =
      static_cast<int64_t>(prompt.size()) - 1 + static_cast<int64_t>(visual.size()) / hidden;
  const bool own = answer->empty();
  const int64_t limit = own ? options_.max_tokens : static_cast<int64_t>(answer->size());
  FASTVLM_RETURN_IF_ERROR(CheckLength(length, limit));

  const std::lock_guard lock(impl_.compute_mutex);
  KvCache cache(decoder.config(), length + limit);
  DecoderWorkspace workspace(decoder, std::min(kPrefillChunk, length), length + limit,
                             impl_.pool.threads());
  std::vector<float> embeddings = Embed(prompt, visual, length);
  for (int64_t start = 0; start < length; start += kPrefillChunk) {
    decoder.Forward(embeddings.data() + start * hidden, std::min(kPrefillChunk, length - start),
                    cache, workspace, impl_.pool);
  }
  std::vector<float> state(embeddings.end() - hidden, embeddings.end());
  std::vector<float> logits(static_cast<size_t>(decoder.vocabulary()));
  std::vector<Choice> choices;
  while (static_cast<int64_t>(choices.size()) < limit) {
    decoder.Logits(state.data(), logits.data(), workspace, impl_.pool);
    for (const int32_t id : impl_.banned_ids) {
      logits[static_cast<size_t>(id)] = -std::numeric_limits<float>::infinity();
    }
    const auto choice =
        Choose(logits, own ? std::nullopt : std::optional((*answer)[choices.size()]));
    if (!choice) {
      return Error(StatusCode::kDataError, "{}: the model produced logits that are not finite",
                   info().directory);
    }
    if (own) answer->push_back(choice->top);
    const int32_t token = (*answer)[choices.size()];
    choices.push_back(*choice);
    if (own && EndsAnswer(token)) break;
    decoder.Embed(&token, 1, state.data());
    decoder.Forward(state.data(), 1, cache, workspace, impl_.pool);
  }
  return choices;
}

Status CheckSame(const ComparedModel& reference, const ComparedModel& candidate) {
  const ModelInfo& a = reference.info();
  const ModelInfo& b = candidate.info();
  const bool same = a.pixels_per_token == b.pixels_per_token &&
                    a.stage_channels == b.stage_channels &&
                    a.feature_channels == b.feature_channels && a.hidden == b.hidden &&
                    a.vocabulary == b.vocabulary;
  if (same) return {};
  return Error(StatusCode::kInvalidArgument,
               "{} and {} are not the same model: encoder widths {} and {}, {} and {} channels in "
               "the decoder, {} and {} tokens",
               a.directory, b.directory, fmt::join(a.stage_channels, "/"),
               fmt::join(b.stage_channels, "/"), a.hidden, b.hidden, a.vocabulary, b.vocabulary);
}

double LogProbability(const std::vector<Choice>& choices) {
  double sum = 0;
  for (const Choice& choice : choices) sum += choice.log_probability;
  return sum;
}

Result<PictureComparison> ComparePicture(const ComparedModel& reference,
                                         const ComparedModel& candidate, const Image& image,
                                         const ProgressFn& progress, std::vector<StageSums>* sums) {
  const auto part = [&](double first) {
    return ProgressFn([&progress, first](double done) {
      if (progress) progress(first + 0.25 * done);
    });
  };
  FASTVLM_ASSIGN_OR_RETURN(const PixelTensor pixels, reference.Fit(image));
  std::vector<Tapped> stages;
  const std::vector<float> expected = reference.Encode(
      pixels, part(0), [&](std::string_view name, const float* values, auto shape) {
        int64_t size = 1;
        for (const int64_t side : shape) size *= side;
        stages.push_back({std::string(name), std::vector<float>(values, values + size)});
      });
  size_t next = 0;
  const std::vector<float> actual =
      candidate.Encode(pixels, part(0.25), [&](std::string_view, const float* values, auto) {
        if (sums->size() == next) sums->push_back({.name = stages[next].name});
        (*sums)[next].Add(stages[next].values, values);
        ++next;
      });
  if (!AllFinite(expected) || !AllFinite(actual)) {
    return Error(StatusCode::kDataError, "{}: the encoder produced values that are not finite",
                 (AllFinite(expected) ? candidate : reference).info().directory);
  }
  PictureComparison picture;
  TokenCosine cosine;
  cosine.Add(expected, actual, reference.info().hidden);
  picture.visual_tokens = cosine.tokens();
  picture.cosine_mean = cosine.mean();
  picture.cosine_worst = cosine.worst();

  std::vector<int32_t> answer;
  FASTVLM_ASSIGN_OR_RETURN(const auto own, reference.Walk(expected, &answer));
  if (progress) progress(0.75);
  FASTVLM_ASSIGN_OR_RETURN(const auto read, candidate.Walk(actual, &answer));
  picture.answer = reference.tokenizer().Decode(answer, /*skip_special=*/true);
  picture.answer_tokens = static_cast<int64_t>(answer.size());
  for (size_t i = 0; i < answer.size(); ++i) picture.agreed += read[i].top == answer[i] ? 1 : 0;
  picture.reference_log_probability = LogProbability(own);
  picture.candidate_log_probability = LogProbability(read);
  return picture;
}

// Weighted by tokens.
template <typename Value, typename Weight>
double Mean(const Comparison& comparison, Value value, Weight weight) {
  double sum = 0, total = 0;
  for (const PictureComparison& picture : comparison.pictures) {
    sum += static_cast<double>(value(picture));
    total += static_cast<double>(weight(picture));
  }
  return total == 0 ? 0 : sum / total;
}

int64_t AnswerTokens(const PictureComparison& picture) { return picture.answer_tokens; }

}  // namespace

double CosineMean(const Comparison& comparison) {
  return Mean(
      comparison,
      [](const auto& p) { return p.cosine_mean * static_cast<double>(p.visual_tokens); },
      [](const auto& p) { return p.visual_tokens; });
}

double CosineWorst(const Comparison& comparison) {
  double worst = 1;
  for (const PictureComparison& p : comparison.pictures) worst = std::min(worst, p.cosine_worst);
  return worst;
}

double Top1Agreement(const Comparison& comparison) {
  return Mean(
      comparison, [](const auto& p) { return p.agreed; }, AnswerTokens);
}

double ReferencePerplexity(const Comparison& comparison) {
  return std::exp(-Mean(
      comparison, [](const auto& p) { return p.reference_log_probability; }, AnswerTokens));
}

double CandidatePerplexity(const Comparison& comparison) {
  return std::exp(-Mean(
      comparison, [](const auto& p) { return p.candidate_log_probability; }, AnswerTokens));
}

Result<Comparison> CompareModels(const Model& reference, const Model& candidate,
                                 std::span<const Image> images, const CompareOptions& options,
                                 const ProgressFn& progress) {
  if (images.empty()) return Error(StatusCode::kInvalidArgument, "no picture to compare on");
  if (options.max_tokens < 1) {
    return Error(StatusCode::kInvalidArgument, "max-tokens is {}, expected 1 or more",
                 options.max_tokens);
  }
  if (options.prompt.find(kImagePlaceholder) != std::string::npos) {
    return Error(StatusCode::kInvalidArgument,
                 "the prompt holds {}, but the picture always comes before it", kImagePlaceholder);
  }
  const ComparedModel expected(reference, options), actual(candidate, options);
  FASTVLM_RETURN_IF_ERROR(CheckSame(expected, actual));
  Comparison comparison;
  std::vector<StageSums> sums;
  const double count = static_cast<double>(images.size());
  for (size_t i = 0; i < images.size(); ++i) {
    const auto report = [&](double done) {
      if (progress) progress((static_cast<double>(i) + done) / count);
    };
    FASTVLM_ASSIGN_OR_RETURN(PictureComparison picture,
                             ComparePicture(expected, actual, images[i], report, &sums));
    comparison.pictures.push_back(std::move(picture));
  }
  for (const StageSums& stage : sums) comparison.stages.push_back(stage.Error());
  return comparison;
}

}  // namespace fastvlm
