#include "server/responses_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <string>
#include <utility>

#include "server/openai_json.h"

namespace fastvlm {
namespace {

// The shortest decimal number that means `value`: 0.9 and not 0.8999999761581421.
double ShortestDecimal(float value) { return std::stod(fmt::format("{}", value)); }

Json ResponseUsage(const Answer& answer) {
  const int64_t output = static_cast<int64_t>(answer.token_ids.size());
  return {{"input_tokens", answer.prompt_tokens},
          {"input_tokens_details",
           {{"cached_tokens", answer.cached_tokens},
            {"cache_write_tokens", 0},
            {"image_tokens", answer.image_tokens}}},
          {"output_tokens", output},
          {"output_tokens_details", {{"reasoning_tokens", 0}}},
          {"total_tokens", answer.prompt_tokens + output}};
}

class ResponsesFormat final : public AnswerFormat {
 public:
  ResponsesFormat(const Call& call, ResponsesEcho echo, const std::string& model)
      : echo_(std::move(echo)),
        model_(model),
        id_(NewId("resp_")),
        item_id_(NewId("msg_")),
        created_at_(static_cast<int64_t>(std::time(nullptr))),
        temperature_(ShortestDecimal(call.request.generate.sampling.temperature)),
        top_p_(ShortestDecimal(call.request.generate.sampling.top_p)),
        top_logprobs_(std::max(call.request.top_logprobs, 0)),
        logprobs_(call.request.top_logprobs >= 0) {}

  std::string Whole(const Answer& answer, const std::vector<AnswerPiece>& pieces) override {
    for (const AnswerPiece& piece : pieces) AppendToken(piece, tokens_);
    return JsonText(Ended(answer));
  }

  const char* StreamType() const override { return "text/event-stream"; }

  std::string Begin() override {
    const Json response = Response("in_progress", Json::array());
    std::string text = Event("response.created", {{"response", response}});
    text += Event("response.in_progress", {{"response", response}});
    text += Event("response.output_item.added",
                  {{"output_index", 0}, {"item", Item("in_progress", Json::array())}});
    Json added = Place();
    added["part"] = Part("");
    return text + Event("response.content_part.added", std::move(added));
  }

  std::string Piece(const AnswerPiece& piece) override {
    Json tokens = Json::array();
    if (logprobs_) AppendToken(piece, tokens);
    if (piece.text.empty() && tokens.empty()) return {};
    for (const Json& token : tokens) tokens_.push_back(token);
    Json delta = Place();
    delta["delta"] = piece.text;
    delta["logprobs"] = std::move(tokens);
    return Event("response.output_text.delta", std::move(delta));
  }

  std::string End(const Answer& answer) override {
    Json text_done = Place();
    text_done["text"] = answer.text;
    text_done["logprobs"] = tokens_;
    Json part_done = Place();
    part_done["part"] = Part(answer.text);
    const Json response = Ended(answer);
    std::string text = Event("response.output_text.done", std::move(text_done));
    text += Event("response.content_part.done", std::move(part_done));
    text +=
        Event("response.output_item.done", {{"output_index", 0}, {"item", response["output"][0]}});
    const std::string status = response["status"].get<std::string>();
    return text + Event("response." + status, {{"response", response}});
  }

  std::string Broken(const ApiError& error) override {
    Json response = Response("failed", Json::array());
    response["error"] = {{"code", "server_error"}, {"message", error.message}};
    return Event("response.failed", {{"response", std::move(response)}});
  }

 private:
  std::string Event(const std::string& type, Json fields) {
    Json event = {{"type", type}, {"sequence_number", sequence_number_++}};
    event.update(fields);
    return NamedEvent(type, event);
  }

  // Where in the response the text stands.
  Json Place() const { return {{"item_id", item_id_}, {"output_index", 0}, {"content_index", 0}}; }

  Json Part(const std::string& text) const {
    return {{"type", "output_text"},
            {"annotations", Json::array()},
            {"logprobs", tokens_},
            {"text", text}};
  }

  Json Item(const char* status, Json content) const {
    return {{"id", item_id_},
            {"type", "message"},
            {"status", status},
            {"role", "assistant"},
            {"content", std::move(content)}};
  }

  Json Response(const char* status, Json output) const {
    return {{"id", id_},
            {"object", "response"},
            {"created_at", created_at_},
            {"status", status},
            {"background", false},
            {"error", nullptr},
            {"incomplete_details", nullptr},
            {"instructions", echo_.instructions},
            {"max_output_tokens", echo_.max_output_tokens},
            {"model", model_},
            {"output", std::move(output)},
            {"parallel_tool_calls", false},
            {"previous_response_id", nullptr},
            {"reasoning", {{"effort", nullptr}, {"summary", nullptr}}},
            {"service_tier", "default"},
            {"store", false},
            {"temperature", temperature_},
            {"text", {{"format", echo_.format}}},
            // None that were offered is ever called, and so none are repeated.
            {"tool_choice", "none"},
            {"tools", Json::array()},
            {"top_logprobs", top_logprobs_},
            {"top_p", top_p_},
            {"truncation", "disabled"},
            {"usage", nullptr},
            {"user", nullptr},
            {"metadata", echo_.metadata}};
  }

  Json Ended(const Answer& answer) const {
    const bool cut = answer.finish_reason == FinishReason::kLength;
    const char* status = cut ? "incomplete" : "completed";
    Json response = Response(status, Json::array({Item(status, Json::array({Part(answer.text)}))}));
    if (cut) {
      response["incomplete_details"] = {{"reason", "max_output_tokens"}};
    } else {
      response["completed_at"] = static_cast<int64_t>(std::time(nullptr));
    }
    response["usage"] = ResponseUsage(answer);
    response["timings"] = TimingsOf(answer);
    return response;
  }

  const ResponsesEcho echo_;
  const std::string model_;
  const std::string id_;
  const std::string item_id_;
  const int64_t created_at_;
  const double temperature_;
  const double top_p_;
  const int top_logprobs_;
  const bool logprobs_;
  Json tokens_ = Json::array();  // with their log probabilities, if those were asked for
  int64_t sequence_number_ = 0;
};

}  // namespace

std::unique_ptr<AnswerFormat> OpenAiResponsesFormat(const Call& call, ResponsesEcho echo,
                                                    const std::string& model) {
  return std::make_unique<ResponsesFormat>(call, std::move(echo), model);
}

}  // namespace fastvlm
