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

// Gives out whole characters. The text ends before the first stop text in it. Characters that may
// be the beginning of a stop text are held back until that is decided.
class AnswerStream {
 public:
  // trim: leave out the white space before the first word and after the last one, which is held
  // back until a word follows. No stop text is looked for in the white space before the first word
  // then. Stop texts must not be empty. `tokenizer` must outlive the stream.
  AnswerStream(const Tokenizer& tokenizer, bool trim, std::vector<std::string> stop = {})
      : decoder_(tokenizer), trim_(trim), stop_(std::move(stop)) {}

  // The text that the token adds, often none. It is valid until the next call.
  std::string_view Add(int32_t token);
  // The text that was held back. After this call only text() may be called.
  std::string_view Finish();

  // Room for an answer of so many tokens, so that adding them allocates nothing.
  void Reserve(size_t tokens);
  static int64_t ReservedBytes(int64_t tokens);

  bool stopped() const { return stopped_; }  // true after a stop text, when nothing may follow
  // The stop text that the text ended before; empty if it did not. The first in the list counts
  // where several begin at the same place.
  std::string_view stop_text() const { return stop_text_; }
  // All that was given out.
  std::string_view text() const { return std::string_view(text_).substr(0, given_); }

 private:
  std::string_view Take();
  size_t WithoutSpaces(size_t end) const;
  std::string_view Give(size_t end);

  StreamDecoder decoder_;
  bool trim_;
  std::vector<std::string> stop_;
  bool stopped_ = false;
  std::string_view stop_text_;  // in stop_
  std::string piece_;           // what the last token completed
  std::string text_;
  size_t given_ = 0;  // so many bytes of text_ were given out
};

}  // namespace fastvlm

#endif  // FASTVLM_RUNTIME_ANSWER_STREAM_H_
