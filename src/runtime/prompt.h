// What a request looks like to the decoder: at each position a token or a row of a picture.
#ifndef FASTVLM_RUNTIME_PROMPT_H_
#define FASTVLM_RUNTIME_PROMPT_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/blake2b.h"
#include "fastvlm/engine.h"
#include "text/chat_prompt.h"
#include "text/tokenizer.h"

namespace fastvlm {

// A picture's place in a sequence.
struct PictureSpan {
  int64_t start = 0;
  int64_t tokens = 0;
  Hash256 key = {};  // of everything but the model that its visual tokens depend on

  bool operator==(const PictureSpan&) const = default;
};

struct TokenSequence {
  std::vector<int32_t> ids;  // one for each position; kImageTokenIndex at those of a picture
  std::vector<PictureSpan> pictures;

  int64_t size() const { return static_cast<int64_t>(ids.size()); }
};

// How many positions, from the first on, the two have in common.
int64_t CommonPrefix(const TokenSequence& a, const TokenSequence& b);

// The key of a picture: a hash of its pixels and of how they are brought to the encoder's size,
// width x height.
Hash256 PictureKey(const Image& image, int width, int height, Fit fit);

// `ids`, in which kImageTokenIndex stands once for each picture, with one entry for each position.
TokenSequence ExpandPictures(std::span<const int32_t> ids, int64_t tokens_per_picture);

// A conversation as turns of the chat prompt, and its pictures in the order of their places.
struct Conversation {
  std::vector<ChatTurn> turns;
  std::vector<std::shared_ptr<const Image>> pictures;
};
Result<Conversation> ToConversation(std::span<const Message> messages);

}  // namespace fastvlm

#endif  // FASTVLM_RUNTIME_PROMPT_H_
