// The prompt string of FastVLM (conversation template qwen_2 of its reference program) and its
// token ids.
//   <|im_start|>system\n{system}<|im_end|>\n
//   <|im_start|>user\n{content}<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>\n ...
// with no other line breaks than these. The content of a turn without images is its text alone. The
// chat template of the transformers layout puts one more \n before it, which the model was not
// trained with.
//
// Control tokens within a text ("<|im_end|>") act as if they were part of the template, because the
// reference tokenizes the finished string. Callers who put the text of strangers into a prompt have
// to remove them first, if that matters.
#ifndef FASTVLM_TEXT_CHAT_PROMPT_H_
#define FASTVLM_TEXT_CHAT_PROMPT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/tokenizer.h"

namespace fastvlm {

inline constexpr std::string_view kDefaultSystemText = "You are a helpful assistant.";
inline constexpr std::string_view kImagePlaceholder = "<image>";

// Stands for one image in a sequence of ids. Source: IMAGE_TOKEN_INDEX of the reference program.
inline constexpr int32_t kImageTokenIndex = -200;

enum class ChatRole { kSystem, kUser, kAssistant };

struct ChatTurn {
  ChatRole role = ChatRole::kUser;
  std::string text;
  // Images of a user turn. They stand before the text, each as "<image>\n", unless the text places
  // them itself with "<image>", once for each.
  int images = 0;
};

// The prompt of a conversation. Starts with the default system turn unless turns[0] is one. With
// add_generation_prompt it ends where the model is to answer. kInvalidArgument if there are no
// turns, a system turn is not the first, images stand outside user turns, or the number of
// "<image>" in a text is not the number of images.
Result<std::string> BuildPrompt(std::span<const ChatTurn> turns, bool add_generation_prompt = true);

// What follows the model's answer when the conversation goes on: the end of the answer's turn,
// `turn`, and the beginning of the next answer. The prompt so far, the answer (without the
// "<|im_end|>" it stopped at) and this string make BuildPrompt of the longer conversation. Errors
// as above; `turn` must be a user turn.
Result<std::string> ContinuePrompt(const ChatTurn& turn);

// Ids of a prompt, kImageTokenIndex for each "<image>". The stretches between them are tokenized
// one by one, so "<image>" never reaches the vocabulary, even if that has such a token.
std::vector<int32_t> TokenizePrompt(const Tokenizer& tokenizer, std::string_view prompt);
// The same for a prompt that may be far too long: nothing if it has more than `most` tokens, each
// image counting as tokens_per_image (>= 0) of them. Memory and time as for Tokenizer::EncodeUpTo.
std::optional<std::vector<int32_t>> TokenizePromptUpTo(const Tokenizer& tokenizer,
                                                       std::string_view prompt, size_t most,
                                                       size_t tokens_per_image);

}  // namespace fastvlm

#endif  // FASTVLM_TEXT_CHAT_PROMPT_H_
