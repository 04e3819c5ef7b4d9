#include "text/stream_decoder.h"

namespace fastvlm {

std::string StreamDecoder::Push(int32_t id) {
  std::string text;
  Push(id, &text);
  return text;
}

void StreamDecoder::Push(int32_t id, std::string* text) {
  if (skip_special_ && tokenizer_.IsSpecial(id)) return;
  assembler_.Append(tokenizer_.TokenBytes(id), text);
}

std::string StreamDecoder::Finish() {
  std::string text;
  assembler_.Finish(&text);
  return text;
}

}  // namespace fastvlm
