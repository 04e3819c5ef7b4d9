// Answers as OpenAI's API writes them.
#ifndef FASTVLM_SERVER_OPENAI_FORMAT_H_
#define FASTVLM_SERVER_OPENAI_FORMAT_H_

#include <memory>
#include <string>

#include "server/answer_format.h"
#include "server/call.h"

namespace fastvlm {

// `model` is the name that answers carry. What they need of the call is copied.
std::unique_ptr<AnswerFormat> OpenAiChatFormat(const Call& call, const std::string& model);
std::unique_ptr<AnswerFormat> OpenAiCompletionFormat(const Call& call, const std::string& model);

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_OPENAI_FORMAT_H_
