// Answers as Ollama's API writes them.
#ifndef FASTVLM_SERVER_OLLAMA_FORMAT_H_
#define FASTVLM_SERVER_OLLAMA_FORMAT_H_

#include <cstdint>
#include <memory>
#include <string>

#include "server/answer_format.h"

namespace fastvlm {

// `model` is the name that answers carry.
std::unique_ptr<AnswerFormat> OllamaChatFormat(const std::string& model);
std::unique_ptr<AnswerFormat> OllamaGenerateFormat(const std::string& model);

// A time in seconds since 1970 as "2026-01-31T12:00:00Z".
std::string Timestamp(int64_t seconds);

// The present time as Ollama writes it: "2026-01-31T12:00:00.123456Z".
std::string TimestampNow();

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_OLLAMA_FORMAT_H_
