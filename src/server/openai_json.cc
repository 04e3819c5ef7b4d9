#include "server/openai_json.h"

#include <fmt/format.h>

#include <random>
#include <utility>

namespace fastvlm {

using nlohmann::ordered_json;

namespace {

ordered_json TokenEntry(const TokenLogprob& token) {
  ordered_json bytes = ordered_json::array();
  for (char c : token.bytes) bytes.push_back(static_cast<uint8_t>(c));
  return {{"token", token.bytes}, {"logprob", token.logprob}, {"bytes", std::move(bytes)}};
}

}  // namespace

std::string NewId(const char* prefix) {
  thread_local std::random_device random;
  return fmt::format("{}{:08x}{:08x}{:08x}", prefix, random(), random(), random());
}

std::string JsonText(const ordered_json& value) {
  return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

std::string NamedEvent(const std::string& name, const ordered_json& data) {
  return "event: " + name + "\ndata: " + JsonText(data) + "\n\n";
}

ordered_json TimingsOf(const Answer& answer) {
  const Timings& timings = answer.timings;
  return {{"queue_ms", timings.queue_ms},
          {"image_ms", timings.image_ms},
          {"encode_ms", timings.encode_ms},
          {"prefill_ms", timings.prefill_ms},
          {"ttft_ms", timings.ttft_ms},
          {"decode_ms", timings.decode_ms},
          {"decode_tokens_per_s", timings.decode_tokens_per_s}};
}

void AppendToken(const AnswerPiece& piece, ordered_json& tokens) {
  if (!piece.token.has_value()) return;
  ordered_json entry = TokenEntry(*piece.token);
  entry["top_logprobs"] = ordered_json::array();
  for (const TokenLogprob& other : piece.alternatives) {
    entry["top_logprobs"].push_back(TokenEntry(other));
  }
  tokens.push_back(std::move(entry));
}

}  // namespace fastvlm
