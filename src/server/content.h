// The messages of a request: texts and pictures.
#ifndef FASTVLM_SERVER_CONTENT_H_
#define FASTVLM_SERVER_CONTENT_H_

#include <string>
#include <string_view>

#include "server/call.h"
#include "server/request_fields.h"

namespace fastvlm {

// Puts a space behind the '<' of whatever could be a control token of a model: "<|im_end|>",
// "<image>". A client's text is then text and cannot end its turn, speak as somebody else or stand
// for a picture. The rest stays as it is.
std::string NeutralizeControlTokens(std::string_view text);

// OpenAI's "messages": content is a text or a list of parts. "developer" is "system"; system
// messages at the beginning are joined to one.
void ReadOpenAiMessages(const CallLimits& limits, RequestFields& fields, Call& call);

// Ollama's "messages": content is a text; "images" is a list of base64.
void ReadOllamaMessages(const CallLimits& limits, RequestFields& fields, Call& call);

// Ollama's "images" of a message, or of a request that is one question: a list of base64.
void ReadOllamaImages(const CallLimits& limits, RequestFields& fields, Message& message,
                      Call& call);

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_CONTENT_H_
