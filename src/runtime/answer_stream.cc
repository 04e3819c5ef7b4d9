#include "runtime/answer_stream.h"

#include <algorithm>

namespace fastvlm {
namespace {

// Of what is reserved for an answer.
constexpr size_t kBytesPerToken = 16;
constexpr size_t kBytesOfAPiece = size_t{1} << 10;

constexpr std::string_view kSpaces = " \t\n\r\v\f";

// How many bytes at the end of `text` could be the beginning of `stop`.
size_t Overlap(std::string_view text, std::string_view stop) {
  for (size_t size = std::min(text.size(), stop.size() - 1); size > 0; --size) {
    if (text.ends_with(stop.substr(0, size))) return size;
  }
  return 0;
}

}  // namespace

void AnswerStream::Reserve(size_t tokens) {
  text_.reserve(tokens * kBytesPerToken);
  piece_.reserve(kBytesOfAPiece);
}

int64_t AnswerStream::ReservedBytes(int64_t tokens) {
  return tokens * int64_t{kBytesPerToken} + int64_t{kBytesOfAPiece};
}

std::string_view AnswerStream::Add(int32_t token) {
  piece_.clear();
  decoder_.Push(token, &piece_);
  return Take();
}

std::string_view AnswerStream::Take() {
  if (stopped_) return {};
  if (trim_ && text_.empty()) {
    const size_t first = piece_.find_first_not_of(kSpaces);
    if (first == std::string::npos) return {};
    piece_.erase(0, first);
  }
  text_ += piece_;
  size_t end = text_.size();
  for (const std::string& stop : stop_) {
    const size_t at = text_.find(stop, given_);
    if (at >= end) continue;
    end = at;
    stopped_ = true;
    stop_text_ = stop;
  }
  if (stopped_) {
    end = WithoutSpaces(end);
    text_.resize(end);
    return Give(end);
  }
  size_t held = 0;
  const std::string_view open = std::string_view(text_).substr(given_);
  for (const std::string& stop : stop_) held = std::max(held, Overlap(open, stop));
  return Give(WithoutSpaces(text_.size() - held));
}

// Where the text before `end` that may be given out ends: behind its last word, if it is trimmed.
size_t AnswerStream::WithoutSpaces(size_t end) const {
  if (!trim_ || end == 0) return end;
  return std::max(given_, text_.find_last_not_of(kSpaces, end - 1) + 1);
}

std::string_view AnswerStream::Give(size_t end) {
  const std::string_view piece = std::string_view(text_).substr(given_, end - given_);
  given_ = end;
  return piece;
}

std::string_view AnswerStream::Finish() {
  const size_t before = given_;
  piece_ = decoder_.Finish();
  Take();
  given_ = WithoutSpaces(text_.size());
  return text().substr(before);
}

}  // namespace fastvlm
