// What the formats of answers have in common.
#ifndef FASTVLM_SERVER_OPENAI_JSON_H_
#define FASTVLM_SERVER_OPENAI_JSON_H_

#include <nlohmann/json.hpp>
#include <string>

#include "fastvlm/engine.h"
#include "server/generation.h"

namespace fastvlm {

// An id that no other answer has: "chatcmpl-" and 24 hexadecimal digits.
std::string NewId(const char* prefix);

// As JSON text. A token's bytes may be a part of a character; they become whole ones.
std::string JsonText(const nlohmann::ordered_json& value);

// An event of a stream with a name of its own.
std::string NamedEvent(const std::string& name, const nlohmann::ordered_json& data);

// Where the time of an answer went, in milliseconds.
nlohmann::ordered_json TimingsOf(const Answer& answer);

// Adds the token of `piece`, if it has one, with its alternatives, as OpenAI lists them.
void AppendToken(const AnswerPiece& piece, nlohmann::ordered_json& tokens);

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_OPENAI_JSON_H_
