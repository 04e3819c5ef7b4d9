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

// "messages". Their content is a text or a list of parts, as OpenAI has it, and "images" is a list
// of pictures, as Ollama has it. "developer" is "system". System messages, wherever they stand,
// become one at the front, and empty ones count as absent.
void ReadMessages(const CallLimits& limits, RequestFields& fields, Call& call);

// One of them: the object `value`, which the request has as `param` ("messages[0]").
void ReadMessage(const Json& value, const std::string& param, const CallLimits& limits,
                 RequestFields& fields, Call& call);

// The text of a system message, a string or a list of texts, that the request has beside its
// messages.
void ReadSystem(const char* name, const CallLimits& limits, RequestFields& fields, Call& call);

// "images" of a message, or of a request that is one question.
void ReadImageList(const CallLimits& limits, RequestFields& fields, Message& message, Call& call);

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_CONTENT_H_
