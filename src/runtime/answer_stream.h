// An answer as it grows: from tokens to the text that may be shown.
#ifndef FASTVLM_RUNTIME_ANSWER_STREAM_H_
#define FASTVLM_RUNTIME_ANSWER_STREAM_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/stream_decoder.h"
#include "text/tokenizer.h"

namespace fastvlm {

// Gives out whole characters. The text ends before the first of the stop texts; what may be the
// beginning of one is held back until that is decided.
class AnswerStream {
 public:
  // trim: without the white space before the first word, which no stop text is looked for in, and
  // in text() without that at the end. No stop text is empty. `tokenizer` must outlive the stream.
  AnswerStream(const Tokenizer& tokenizer, bool trim, std::vector<std::string> stop = {})
      : decoder_(tokenizer), trim_(trim), stop_(std::move(stop)) {}

  // What the token adds; valid until the next call, often empty.
  std::string_view Add(int32_t token);
  // What was held back. After that only text() may be called.
  std::string_view Finish();

  // Room for an answer of so many tokens, so that adding them allocates nothing.
  void Reserve(size_t tokens);

  bool stopped() const { return stopped_; }  // at a stop text; nothing may follow
  // All that was given out.
  std::string_view text() const;

 private:
  std::string_view Take();
  std::string_view Give(size_t end);

  StreamDecoder decoder_;
  bool trim_;
  std::vector<std::string> stop_;
  bool stopped_ = false;
  std::string piece_;  // that is new
  std::string text_;
  size_t given_ = 0;  // of text_
};

}  // namespace fastvlm

#endif  // FASTVLM_RUNTIME_ANSWER_STREAM_H_
