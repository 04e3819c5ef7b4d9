// Turns token ids into text while they are generated.
#ifndef FASTVLM_TEXT_STREAM_DECODER_H_
#define FASTVLM_TEXT_STREAM_DECODER_H_

#include <cstdint>
#include <string>

#include "text/tokenizer.h"
#include "text/unicode.h"

namespace fastvlm {

// The strings that it gives, joined, are what Tokenizer::Decode makes of all ids. Each of them is
// valid UTF-8: a character that several tokens share is held back until its last byte is there.
class StreamDecoder {
 public:
  // `tokenizer` must outlive the decoder. skip_special leaves special tokens out of the text.
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = true)
      : tokenizer_(tokenizer), skip_special_(skip_special) {}

  // The text that `id` completes, often empty. Ids that are no token add nothing.
  std::string Push(int32_t id);
  // The same, but appends the text to `text`.
  void Push(int32_t id, std::string* text);

  // What is left at the end: one U+FFFD if a character is incomplete. Ready for another text.
  std::string Finish();

 private:
  const Tokenizer& tokenizer_;
  bool skip_special_;
  Utf8Assembler assembler_;
};

}  // namespace fastvlm

#endif  // FASTVLM_TEXT_STREAM_DECODER_H_
