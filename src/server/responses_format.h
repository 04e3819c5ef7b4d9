// Answers as OpenAI's responses.
#ifndef FASTVLM_SERVER_RESPONSES_FORMAT_H_
#define FASTVLM_SERVER_RESPONSES_FORMAT_H_

#include <memory>
#include <string>

#include "server/answer_format.h"
#include "server/call.h"
#include "server/responses_request.h"

namespace fastvlm {

// `model` is the name that answers carry. What they need of the call is copied.
std::unique_ptr<AnswerFormat> OpenAiResponsesFormat(const Call& call, ResponsesEcho echo,
                                                    const std::string& model);

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_RESPONSES_FORMAT_H_
