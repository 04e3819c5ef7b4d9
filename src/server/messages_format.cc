#include "server/messages_format.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "server/openai_json.h"

namespace fastvlm {
namespace {

using nlohmann::ordered_json;

// input_tokens are those that were not known from an earlier request; the others are counted in
// cache_read_input_tokens alone.
ordered_json AnthropicUsage(const Answer& answer) {
  return {{"input_tokens", answer.prompt_tokens - answer.cached_tokens},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", answer.cached_tokens},
          {"output_tokens", answer.token_ids.size()}};
}

class MessagesFormat final : public AnswerFormat {
 public:
  MessagesFormat(const Call& call, const std::string& model)
      : model_(model), id_(NewId("msg_")), max_tokens_(call.request.generate.max_tokens) {}

  std::string Whole(const Answer& answer, const std::vector<AnswerPiece>&) override {
    ordered_json body = Body(ordered_json::array({{{"type", "text"}, {"text", answer.text}}}),
                             AnthropicUsage(answer));
    body.update(Stop(answer));
    body["timings"] = TimingsOf(answer);
    return JsonText(body);
  }

  const char* StreamType() const override { return "text/event-stream"; }

  std::string Begin() override {
    // The counts come with the end: clients let those replace the ones of the beginning.
    return Event("message_start", {{"message", Body(ordered_json::array(), AnthropicUsage({}))}}) +
           Event("content_block_start",
                 {{"index", 0}, {"content_block", {{"type", "text"}, {"text", ""}}}}) +
           Event("ping", ordered_json::object());
  }

  std::string Piece(const AnswerPiece& piece) override {
    if (piece.text.empty()) return {};
    return Event("content_block_delta",
                 {{"index", 0}, {"delta", {{"type", "text_delta"}, {"text", piece.text}}}});
  }

  std::string End(const Answer& answer) override {
    return Event("content_block_stop", {{"index", 0}}) +
           Event("message_delta", {{"delta", Stop(answer)},
                                   {"usage", AnthropicUsage(answer)},
                                   {"timings", TimingsOf(answer)}}) +
           Event("message_stop", ordered_json::object());
  }

  std::string Broken(const ApiError& error) override {
    return "event: error\ndata: " + AnthropicErrorBody(error) + "\n\n";
  }

 private:
  static std::string Event(const char* type, const ordered_json& fields) {
    ordered_json event = {{"type", type}};
    event.update(fields);
    return NamedEvent(type, event);
  }

  ordered_json Body(ordered_json content, ordered_json usage) const {
    return {{"id", id_},
            {"type", "message"},
            {"role", "assistant"},
            {"model", model_},
            {"content", std::move(content)},
            {"stop_reason", nullptr},
            {"stop_sequence", nullptr},
            {"usage", std::move(usage)}};
  }

  ordered_json Stop(const Answer& answer) const {
    ordered_json sequence = nullptr;
    const char* reason = "end_turn";
    if (!answer.stop_text.empty()) {
      reason = "stop_sequence";
      sequence = answer.stop_text;
    } else if (answer.finish_reason == FinishReason::kLength) {
      const bool asked = answer.token_ids.size() >= static_cast<size_t>(max_tokens_);
      reason = asked ? "max_tokens" : "model_context_window_exceeded";
    }
    return {{"stop_reason", reason}, {"stop_sequence", std::move(sequence)}};
  }

  const std::string model_;
  const std::string id_;
  const int max_tokens_;
};

}  // namespace

std::unique_ptr<AnswerFormat> AnthropicMessagesFormat(const Call& call, const std::string& model) {
  return std::make_unique<MessagesFormat>(call, model);
}

}  // namespace fastvlm
