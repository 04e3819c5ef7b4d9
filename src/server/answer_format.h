// How an answer is written: one class for each API (openai_format.h, ollama_format.h), and the same
// steps for all (routes/answer.h).
#ifndef FASTVLM_SERVER_ANSWER_FORMAT_H_
#define FASTVLM_SERVER_ANSWER_FORMAT_H_

#include <string>
#include <vector>

#include "fastvlm/session.h"
#include "server/api_error.h"
#include "server/generation.h"

namespace fastvlm {

// Writes one answer, either whole or as a stream. Not thread-safe.
class AnswerFormat {
 public:
  virtual ~AnswerFormat() = default;

  // The answer as one JSON text. `pieces` are all that the engine produced.
  virtual std::string Whole(const Answer& answer, const std::vector<AnswerPiece>& pieces) = 0;

  // The parts of a stream in their order. Broken takes the place of End where the answer broke off.
  virtual const char* StreamType() const = 0;
  virtual std::string Begin() = 0;
  virtual std::string Piece(const AnswerPiece& piece) = 0;
  virtual std::string End(const Answer& answer) = 0;
  virtual std::string Broken(const ApiError& error) = 0;
};

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_ANSWER_FORMAT_H_
