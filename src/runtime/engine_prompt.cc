// From a request to the tokens of its prompt.
#include <algorithm>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "runtime/engine_impl.h"

namespace fastvlm {
namespace {

// Tokenizing takes so many bytes for each of the text at worst, where that is one long word.
constexpr int64_t kTokenizingBytes = 64;
// Texts from this size on are tokenized one at a time.
constexpr size_t kLargeText = size_t{64} << 10;

size_t TextBytes(const EngineRequest& request) {
  size_t bytes = request.prompt ? request.prompt->size() : 0;
  for (const Message& message : request.messages) {
    for (const ContentPart& part : message.content) bytes += part.text.size();
  }
  return bytes;
}

Status TooLong(int64_t context) {
  return Error(StatusCode::kInvalidArgument,
               "the prompt has more than {} tokens, the size of the context; shorten it or lower "
               "the resolution",
               context);
}

}  // namespace

// Ids of a text of at most so many tokens as the context has room for, with one id for each
// picture.
Result<std::vector<int32_t>> Engine::Impl::Tokenize(std::string_view text, int64_t per_picture) {
  std::unique_lock<FairMutex> one_at_a_time;
  EngineMemory::Claim claim;
  if (text.size() >= kLargeText) {
    one_at_a_time = std::unique_lock(tokenizing);
    auto taken = memory.Take(static_cast<int64_t>(text.size()) * kTokenizingBytes);
    if (!taken) {
      return Error(StatusCode::kResourceExhausted,
                   "there is no memory left to tokenize a text of {} bytes; shorten it, or try "
                   "again later",
                   text.size());
    }
    claim = *std::move(taken);
  }
  auto ids = TokenizePromptUpTo(shared.tokenizer, text, static_cast<size_t>(context),
                                static_cast<size_t>(per_picture));
  if (!ids) return TooLong(context);
  return *std::move(ids);
}

// Sets the prompt's tokens and the keys of its pictures. Nothing is made that is as large as a
// prompt which cannot fit.
Status Engine::Impl::SetPrompt(const EngineRequest& request, Sequence& sequence) {
  if (TextBytes(request) > shared.tokenizer.MostBytes(static_cast<size_t>(context))) {
    return TooLong(context);
  }
  std::string conversation_text;
  std::string_view text;
  if (request.prompt) {
    if (!request.messages.empty()) {
      return Error(StatusCode::kInvalidArgument, "expected messages or a prompt, found both");
    }
    text = *request.prompt;
  } else {
    FASTVLM_ASSIGN_OR_RETURN(Conversation conversation, ToConversation(request.messages));
    FASTVLM_ASSIGN_OR_RETURN(conversation_text, BuildPrompt(conversation.turns));
    text = conversation_text;
    sequence.pictures = std::move(conversation.pictures);
  }
  FASTVLM_ASSIGN_OR_RETURN(const EncoderSize size, ResolveSize(model->info(), request.encode));
  sequence.encode = {size.width, size.height, request.encode.fit};
  const int64_t per_picture = shared.model.TokenCount(size.height, size.width);
  FASTVLM_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, Tokenize(text, per_picture));
  const int64_t pictures = std::count(ids.begin(), ids.end(), kImageTokenIndex);
  if (pictures != static_cast<int64_t>(sequence.pictures.size())) {
    return Error(StatusCode::kInvalidArgument,
                 "the prompt has {} \"<image>\" for {} pictures; only messages can show pictures",
                 pictures, sequence.pictures.size());
  }
  if (ids.empty()) {
    return Error(StatusCode::kInvalidArgument,
                 "the prompt has 0 tokens, expected 1 to {}, the size of the context", context);
  }
  sequence.tokens = ExpandPictures(ids, per_picture);
  sequence.prompt_tokens = sequence.answer.prompt_tokens = sequence.tokens.size();
  sequence.answer.image_tokens = pictures * per_picture;
  for (size_t i = 0; i < sequence.pictures.size(); ++i) {
    sequence.tokens.pictures[i].key =
        PictureKey(*sequence.pictures[i], size.width, size.height, request.encode.fit);
  }
  return {};
}

}  // namespace fastvlm
