#include "server/openai_format.h"

#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

#include "server/openai_json.h"

namespace fastvlm {
namespace {

using nlohmann::ordered_json;

std::string Event(const ordered_json& value) { return "data: " + JsonText(value) + "\n\n"; }

const char* FinishName(FinishReason reason) {
  return reason == FinishReason::kLength ? "length" : "stop";
}

ordered_json Usage(const Answer& answer) {
  const int64_t completion = static_cast<int64_t>(answer.token_ids.size());
  return {{"prompt_tokens", answer.prompt_tokens},
          {"completion_tokens", completion},
          {"total_tokens", answer.prompt_tokens + completion},
          {"prompt_tokens_details",
           {{"cached_tokens", answer.cached_tokens}, {"image_tokens", answer.image_tokens}}}};
}

// What both endpoints share: everything around the text.
class OpenAiFormat : public AnswerFormat {
 public:
  OpenAiFormat(const Call& call, const std::string& model, const char* id_prefix)
      : model_(model),
        id_(NewId(id_prefix)),
        created_(static_cast<int64_t>(std::time(nullptr))),
        include_usage_(call.include_usage),
        logprobs_(call.request.top_logprobs >= 0) {}

  const char* StreamType() const override { return "text/event-stream"; }

  std::string Broken(const ApiError& error) override {
    return "data: " + OpenAiErrorBody(error) + "\n\n";
  }

 protected:
  ordered_json Body(const char* object, ordered_json choices) const {
    return {{"id", id_},
            {"object", object},
            {"created", created_},
            {"model", model_},
            {"choices", std::move(choices)}};
  }

  std::string Chunk(const char* object, ordered_json choice) const {
    ordered_json body = Body(object, ordered_json::array({std::move(choice)}));
    if (include_usage_) body["usage"] = nullptr;
    return Event(body);
  }

  // The chunk that ends the text, the one with the usage if asked for, and the end of the stream.
  std::string Ending(const char* object, ordered_json choice, const Answer& answer) const {
    ordered_json last = Body(object, ordered_json::array({std::move(choice)}));
    if (include_usage_) last["usage"] = nullptr;
    last["timings"] = TimingsOf(answer);
    std::string text = Event(last);
    if (include_usage_) {
      ordered_json usage = Body(object, ordered_json::array());
      usage["usage"] = Usage(answer);
      usage["timings"] = TimingsOf(answer);
      text += Event(usage);
    }
    return text + "data: [DONE]\n\n";
  }

  std::string WholeBody(const char* object, ordered_json choice, const Answer& answer) const {
    ordered_json body = Body(object, ordered_json::array({std::move(choice)}));
    body["usage"] = Usage(answer);
    body["timings"] = TimingsOf(answer);
    return JsonText(body);
  }

  bool logprobs() const { return logprobs_; }

 private:
  const std::string model_;
  const std::string id_;
  const int64_t created_;
  const bool include_usage_;
  const bool logprobs_;
};

class ChatFormat final : public OpenAiFormat {
 public:
  ChatFormat(const Call& call, const std::string& model) : OpenAiFormat(call, model, "chatcmpl-") {}

  std::string Whole(const Answer& answer, const std::vector<AnswerPiece>& pieces) override {
    ordered_json tokens = ordered_json::array();
    for (const AnswerPiece& piece : pieces) AppendToken(piece, tokens);
    ordered_json choice = {
        {"index", 0},
        {"message", {{"role", "assistant"}, {"content", answer.text}, {"refusal", nullptr}}},
        {"logprobs", Logprobs(std::move(tokens))},
        {"finish_reason", FinishName(answer.finish_reason)}};
    return WholeBody("chat.completion", std::move(choice), answer);
  }

  std::string Begin() override {
    return Chunk(kChunk, Choice({{"role", "assistant"}, {"content", ""}}, nullptr, nullptr));
  }

  std::string Piece(const AnswerPiece& piece) override {
    ordered_json tokens = ordered_json::array();
    AppendToken(piece, tokens);
    return Chunk(kChunk, Choice({{"content", piece.text}}, Logprobs(std::move(tokens)), nullptr));
  }

  std::string End(const Answer& answer) override {
    return Ending(kChunk, Choice(ordered_json::object(), nullptr, FinishName(answer.finish_reason)),
                  answer);
  }

 private:
  static constexpr const char* kChunk = "chat.completion.chunk";

  static ordered_json Choice(ordered_json delta, ordered_json logprobs, ordered_json finish) {
    return {{"index", 0},
            {"delta", std::move(delta)},
            {"logprobs", std::move(logprobs)},
            {"finish_reason", std::move(finish)}};
  }

  ordered_json Logprobs(ordered_json tokens) const {
    if (!logprobs()) return nullptr;
    return {{"content", std::move(tokens)}, {"refusal", nullptr}};
  }
};

class CompletionFormat final : public OpenAiFormat {
 public:
  CompletionFormat(const Call& call, const std::string& model)
      : OpenAiFormat(call, model, "cmpl-") {}

  std::string Whole(const Answer& answer, const std::vector<AnswerPiece>& pieces) override {
    return WholeBody(
        kObject, Choice(answer.text, Logprobs(pieces), FinishName(answer.finish_reason)), answer);
  }
  std::string Begin() override { return {}; }
  std::string Piece(const AnswerPiece& piece) override {
    return Chunk(kObject, Choice(piece.text, Logprobs({piece}), nullptr));
  }
  std::string End(const Answer& answer) override {
    return Ending(kObject, Choice("", nullptr, FinishName(answer.finish_reason)), answer);
  }

 private:
  static constexpr const char* kObject = "text_completion";

  static ordered_json Choice(const std::string& text, ordered_json logprobs, ordered_json finish) {
    return {{"index", 0},
            {"text", text},
            {"logprobs", std::move(logprobs)},
            {"finish_reason", std::move(finish)}};
  }

  ordered_json Logprobs(const std::vector<AnswerPiece>& pieces) {
    if (!logprobs()) return nullptr;
    ordered_json result = {{"tokens", ordered_json::array()},
                           {"token_logprobs", ordered_json::array()},
                           {"top_logprobs", ordered_json::array()},
                           {"text_offset", ordered_json::array()}};
    for (const AnswerPiece& piece : pieces) {
      if (!piece.token.has_value()) continue;
      ordered_json top = ordered_json::object();
      for (const TokenLogprob& other : piece.alternatives) top[other.bytes] = other.logprob;
      result["tokens"].push_back(piece.token->bytes);
      result["token_logprobs"].push_back(piece.token->logprob);
      result["top_logprobs"].push_back(std::move(top));
      result["text_offset"].push_back(offset_);
      offset_ += piece.token->bytes.size();
    }
    return result;
  }

  size_t offset_ = 0;  // bytes of the tokens so far
};

}  // namespace

std::unique_ptr<AnswerFormat> OpenAiChatFormat(const Call& call, const std::string& model) {
  return std::make_unique<ChatFormat>(call, model);
}

std::unique_ptr<AnswerFormat> OpenAiCompletionFormat(const Call& call, const std::string& model) {
  return std::make_unique<CompletionFormat>(call, model);
}

}  // namespace fastvlm
