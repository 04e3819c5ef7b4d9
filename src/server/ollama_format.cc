#include "server/ollama_format.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

namespace fastvlm {
namespace {

using nlohmann::ordered_json;

std::string Line(const ordered_json& value) {
  return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

int64_t Nanoseconds(double ms) { return static_cast<int64_t>(ms * 1e6); }

class OllamaFormat final : public AnswerFormat {
 public:
  OllamaFormat(const std::string& model, bool chat) : model_(model), chat_(chat) {}

  std::string Whole(const Answer& answer, const std::vector<AnswerPiece>&) override {
    return Line(Last(answer, answer.text));
  }
  const char* StreamType() const override { return "application/x-ndjson"; }
  std::string Begin() override { return {}; }
  std::string Piece(const AnswerPiece& piece) override {
    if (piece.text.empty()) return {};
    ordered_json body = Body(piece.text);
    body["done"] = false;
    return Line(body);
  }
  std::string End(const Answer& answer) override { return Line(Last(answer, "")); }
  std::string Broken(const ApiError& error) override { return OllamaErrorBody(error) + "\n"; }

 private:
  ordered_json Body(const std::string& text) const {
    ordered_json body = {{"model", model_}, {"created_at", TimestampNow()}};
    if (chat_) {
      body["message"] = {{"role", "assistant"}, {"content", text}};
    } else {
      body["response"] = text;
    }
    return body;
  }

  ordered_json Last(const Answer& answer, const std::string& text) const {
    const Timings& timings = answer.timings;
    ordered_json body = Body(text);
    body["done"] = true;
    body["done_reason"] = answer.finish_reason == FinishReason::kLength ? "length" : "stop";
    body["total_duration"] = Nanoseconds(timings.ttft_ms + timings.decode_ms);
    body["load_duration"] = 0;
    body["prompt_eval_count"] = answer.prompt_tokens;
    body["prompt_eval_duration"] =
        Nanoseconds(timings.image_ms + timings.encode_ms + timings.prefill_ms);
    body["eval_count"] = answer.token_ids.size();
    body["eval_duration"] = Nanoseconds(timings.decode_ms);
    return body;
  }

  const std::string model_;
  const bool chat_;
};

}  // namespace

std::string Timestamp(int64_t seconds) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}Z", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

std::string TimestampNow() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const int64_t us = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}Z",
                     fmt::gmtime(static_cast<std::time_t>(us / 1'000'000)), us % 1'000'000);
}

std::unique_ptr<AnswerFormat> OllamaChatFormat(const std::string& model) {
  return std::make_unique<OllamaFormat>(model, /*chat=*/true);
}

std::unique_ptr<AnswerFormat> OllamaGenerateFormat(const std::string& model) {
  return std::make_unique<OllamaFormat>(model, /*chat=*/false);
}

}  // namespace fastvlm
