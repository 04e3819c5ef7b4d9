// Requests of every API, as any client may send them.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/check.h"
#include "server/call.h"
#include "server/content.h"
#include "server/messages_request.h"
#include "server/ollama_request.h"
#include "server/openai_request.h"
#include "server/responses_request.h"

namespace {

using fastvlm::Call;
using fastvlm::CallLimits;

// What the rest of the server relies on.
void CheckCall(const Call& call, const CallLimits& limits) {
  const fastvlm::GenerateOptions& generate = call.request.generate;
  FASTVLM_CHECK(generate.max_tokens >= 1 && generate.max_tokens <= limits.max_tokens);
  FASTVLM_CHECK(generate.sampling.temperature >= 0 && generate.sampling.top_p > 0);
  FASTVLM_CHECK(call.images.size() <= static_cast<size_t>(limits.max_images));
  for (const fastvlm::CallImage& image : call.images) {
    FASTVLM_CHECK(image.file.empty() != image.url.empty());
  }
  size_t images = 0;  // in the messages, in the order of call.images
  for (const fastvlm::Message& message : call.request.messages) {
    for (const fastvlm::ContentPart& part : message.content) {
      FASTVLM_CHECK(fastvlm::NeutralizeControlTokens(part.text) == part.text);
      if (part.image == nullptr) continue;
      FASTVLM_CHECK(images < call.images.size() && part.image == call.images[images].decoded);
      ++images;
    }
  }
  FASTVLM_CHECK(images == call.images.size());
}

std::optional<fastvlm::ApiError> ParseResponses(std::string_view body, const CallLimits& limits,
                                                Call* call) {
  fastvlm::ResponsesEcho echo;
  const auto error = fastvlm::ParseResponses(body, limits, call, &echo);
  FASTVLM_CHECK(error.has_value() || echo.format.is_object());
  FASTVLM_CHECK(echo.metadata.is_object());
  return error;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const CallLimits limits{.max_tokens = 100, .max_images = 3, .allow_remote_images = true};
  for (const auto parse : {fastvlm::ParseChatCompletion, fastvlm::ParseCompletion,
                           fastvlm::ParseOllamaChat, fastvlm::ParseOllamaGenerate, ParseResponses,
                           fastvlm::ParseAnthropicMessages, fastvlm::ParseAnthropicCount}) {
    Call call;
    const auto error = parse(body, limits, &call);
    if (error.has_value()) {
      FASTVLM_CHECK(error->status >= 400 && !OpenAiErrorBody(*error).empty() &&
                    !OllamaErrorBody(*error).empty() && !AnthropicErrorBody(*error).empty());
    } else {
      CheckCall(call, limits);
    }
  }
  return 0;
}
