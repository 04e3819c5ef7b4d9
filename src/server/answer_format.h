// How an answer is written: one class for each API, the same flow for all (routes/answer.h).
#ifndef FASTVLM_SERVER_ANSWER_FORMAT_H_
#define FASTVLM_SERVER_ANSWER_FORMAT_H_

#include <memory>
#include <string>
#include <vector>

#include "fastvlm/session.h"
#include "server/api_error.h"
#include "server/call.h"
#include "server/generation.h"

namespace fastvlm {

// Of one answer; not thread-safe.
class AnswerFormat {
 public:
  virtual ~AnswerFormat() = default;

  // A whole answer as one JSON text. `pieces` are all there were.
  virtual std::string Whole(const Answer& answer, const std::vector<AnswerPiece>& pieces) = 0;

  // A stream: its parts in this order, and what says that it broke off.
  virtual const char* StreamType() const = 0;
  virtual std::string Begin() = 0;
  virtual std::string Piece(const AnswerPiece& piece) = 0;
  virtual std::string End(const Answer& answer) = 0;
  virtual std::string Broken(const ApiError& error) = 0;
};

// `model` is the name answers carry. The call is only looked at now.
std::unique_ptr<AnswerFormat> OpenAiChatFormat(const Call& call, const std::string& model);
std::unique_ptr<AnswerFormat> OpenAiCompletionFormat(const Call& call, const std::string& model);
std::unique_ptr<AnswerFormat> OllamaChatFormat(const std::string& model);
std::unique_ptr<AnswerFormat> OllamaGenerateFormat(const std::string& model);

// "2026-01-31T12:00:00.123456Z", now.
std::string TimestampNow();

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_ANSWER_FORMAT_H_
