// What every route that asks the model does, in whichever API.
#ifndef FASTVLM_SERVER_ROUTES_ANSWER_H_
#define FASTVLM_SERVER_ROUTES_ANSWER_H_

#include <memory>
#include <optional>

#include "server/answer_format.h"
#include "server/call.h"
#include "server/routes/routes.h"

namespace fastvlm {

// Gives the pictures of a call their pixels.
std::optional<ApiError> LoadImages(ServerContext& context, Exchange& exchange, Call& call);

// Decodes the pictures, asks the engine, and writes the answer, streamed if the call says so. Up to
// the first token an error has its HTTP status; afterwards a stream says that it broke off. The
// client's going away cancels.
void AnswerCall(ServerContext& context, Exchange& exchange, Dialect dialect, Call call,
                std::unique_ptr<AnswerFormat> format);

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_ROUTES_ANSWER_H_
