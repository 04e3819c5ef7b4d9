// Answers as Anthropic's API writes them.
#ifndef FASTVLM_SERVER_MESSAGES_FORMAT_H_
#define FASTVLM_SERVER_MESSAGES_FORMAT_H_

#include <memory>
#include <string>

#include "server/answer_format.h"
#include "server/call.h"

namespace fastvlm {

// `model` is the name that answers carry. What they need of the call is copied.
std::unique_ptr<AnswerFormat> AnthropicMessagesFormat(const Call& call, const std::string& model);

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_MESSAGES_FORMAT_H_
