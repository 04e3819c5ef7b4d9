#include "text/stream_decoder.h"

namespace fastvlm {

std::string StreamDecoder::Push(int32_t id) {
  std::string text;
  if (skip_special_ && tokenizer_.IsSpecial(id)) return text;
  assembler_.Append(tokenizer_.TokenBytes(id), &text);
  return text;
}

std::string StreamDecoder::Finish() {
  std::string text;
  assembler_.Finish(&text);
  return text;
}

}  // namespace fastvlm
