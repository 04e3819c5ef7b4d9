#include "fastvlm/compare.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "base/status.h"
#include "image/preprocess.h"
#include "measure/token_cosine.h"
#include "model/kv_cache.h"
#include "runtime/model_impl.h"
#include "runtime/prefill.h"
#include "runtime/token_chooser.h"
#include "text/chat_prompt.h"

namespace fastvlm {
namespace {

struct Tapped {
  std::string name;
  std::vector<float> values;
};

// The sums over pictures from which a StageError is made.
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

// The token that one model finds likeliest, and how likely it finds the one that the answer has.
struct Choice {
  int32_t top = 0;
  double log_probability = 0;
};

// Natural logarithm of the probability of `token`; nothing if a logit that counts is not finite.
std::optional<double> LogProbability(std::span<const float> logits, int32_t likeliest,
                                     int32_t token) {
  const float best = logits[static_cast<size_t>(likeliest)];
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - best);
  if (!std::isfinite(sum)) return std::nullopt;
  return double{logits[static_cast<size_t>(token)]} - best - std::log(sum);
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
    const ComputeLock lock(impl_.compute_mutex);
    return Preprocess(image, size.height, size.width, options_.encode.fit, &impl_.pool);
  }

  // Visual tokens, [tokens, hidden]. `tap` sees what every stage gives, and at last these tokens.
  std::vector<float> Encode(const PixelTensor& pixels, const ProgressFn& progress,
                            const TapFn& tap) const {
    ComputeLock lock(impl_.compute_mutex);
    const int64_t tokens = impl_.model.TokenCount(pixels.height, pixels.width);
    const int64_t hidden = impl_.model.projector().hidden();
    std::vector<float> features(
        static_cast<size_t>(tokens * impl_.model.encoder().feature_channels()));
    std::vector<float> visual(static_cast<size_t>(tokens * hidden));
    const auto report = [&](double fraction) {
      if (progress) progress(fraction);
      return true;
    };
    impl_.RunEncoder(pixels, features.data(), lock, report, tap);
    impl_.model.projector().Forward(features.data(), tokens, visual.data(), impl_.pool);
    tap("visual tokens", visual.data(), {tokens, hidden});
    return visual;
  }

  // Reads the prompt, and then `answer` token by token; if that is empty, the model answers itself
  // and puts its answer there. Returns the choice for each token of the answer.
  Result<std::vector<Choice>> Walk(const std::vector<float>& visual,
                                   std::vector<int32_t>* answer) const;

 private:
  Result<std::vector<int32_t>> Prompt() const;
  Status CheckLength(int64_t prompt, int64_t answer) const;

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
               "resolution or max_tokens",
               prompt + answer, info().directory, context);
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

  const ComputeLock lock(impl_.compute_mutex);
  KvCache cache(decoder.config(), length + limit);
  DecoderWorkspace workspace = NewPrefillWorkspace(decoder, length + limit, impl_.pool.threads());
  Buffer<float> x = EmbedPrompt(decoder, prompt, visual);
  const float* last = Prefill(decoder, x.data(), length, cache, workspace, impl_.pool);
  std::vector<float> state(last, last + hidden);
  std::vector<float> logits(static_cast<size_t>(decoder.vocabulary()));
  TokenChooser chooser(SamplingOptions{.temperature = 0}, decoder.vocabulary(), impl_.banned_ids);
  std::vector<Choice> choices;
  while (static_cast<int64_t>(choices.size()) < limit) {
    decoder.Logits(state.data(), logits.data(), workspace, impl_.pool);
    const int32_t top = chooser.Choose(logits);
    if (own) answer->push_back(top);
    const int32_t token = (*answer)[choices.size()];
    const auto log_probability = top < 0 ? std::nullopt : LogProbability(logits, top, token);
    if (!log_probability) {
      return Error(StatusCode::kDataError, "{}: the model produced logits that are not finite",
                   info().directory);
    }
    choices.push_back({top, *log_probability});
    if (own && impl_.IsEos(token)) break;
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

double SumOfLogProbabilities(const std::vector<Choice>& choices) {
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
  picture.reference_log_probability = SumOfLogProbabilities(own);
  picture.candidate_log_probability = SumOfLogProbabilities(read);
  return picture;
}

// The mean of value(picture) / weight(picture), in which each picture counts with its weight.
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

namespace {

Result<Comparison> Compare(const Model& reference, const Model& candidate,
                           std::span<const Image> images, const CompareOptions& options,
                           const ProgressFn& progress) {
  if (images.empty()) return Error(StatusCode::kInvalidArgument, "no picture to compare on");
  if (options.max_tokens < 1) {
    return Error(StatusCode::kInvalidArgument, "max_tokens is {}, expected 1 or more",
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

}  // namespace

Result<Comparison> CompareModels(const Model& reference, const Model& candidate,
                                 std::span<const Image> images, const CompareOptions& options,
                                 const ProgressFn& progress) {
  constexpr MemoryUse kUse = {"what both models compute of a picture",
                              "lower the resolution or max_tokens"};
  return CatchOutOfMemory(kUse,
                          [&] { return Compare(reference, candidate, images, options, progress); });
}

}  // namespace fastvlm
