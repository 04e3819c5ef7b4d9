#include "text/chat_prompt.h"

#include <limits>

namespace fastvlm {
namespace {

constexpr std::string_view kTurnStart = "<|im_start|>";
constexpr std::string_view kTurnEnd = "<|im_end|>\n";
constexpr std::string_view kAnswerStart = "<|im_start|>assistant\n";

std::string_view RoleName(ChatRole role) {
  switch (role) {
    case ChatRole::kSystem:
      return "system";
    case ChatRole::kUser:
      return "user";
    case ChatRole::kAssistant:
      return "assistant";
  }
  return "";
}

int CountPlaceholders(std::string_view text) {
  int count = 0;
  for (size_t at = text.find(kImagePlaceholder); at != std::string_view::npos;
       at = text.find(kImagePlaceholder, at + kImagePlaceholder.size())) {
    ++count;
  }
  return count;
}

Status CheckImages(const ChatTurn& turn, int placeholders) {
  if (turn.role != ChatRole::kUser && (turn.images != 0 || placeholders != 0)) {
    return Error(StatusCode::kInvalidArgument,
                 "a turn of role {} has {} images and {} \"<image>\" in its text, expected none; "
                 "only user turns show images",
                 RoleName(turn.role), turn.images, placeholders);
  }
  if (turn.images < 0 || (placeholders > 0 && placeholders != turn.images)) {
    return Error(StatusCode::kInvalidArgument,
                 "the text has {} \"<image>\" but {} images came with it; give one \"<image>\" for "
                 "each image, or none to have the images before the text",
                 placeholders, turn.images);
  }
  return {};
}

// One whole turn with its end.
Status AppendTurn(const ChatTurn& turn, std::string* prompt) {
  const int placeholders = CountPlaceholders(turn.text);
  FASTVLM_RETURN_IF_ERROR(CheckImages(turn, placeholders));
  prompt->append(kTurnStart).append(RoleName(turn.role)).append("\n");
  if (placeholders == 0) {
    for (int i = 0; i < turn.images; ++i) prompt->append(kImagePlaceholder).append("\n");
  }
  prompt->append(turn.text).append(kTurnEnd);
  return {};
}

}  // namespace

Result<std::string> BuildPrompt(std::span<const ChatTurn> turns, bool add_generation_prompt) {
  if (turns.empty()) {
    return Error(StatusCode::kInvalidArgument, "a prompt needs at least one turn, found none");
  }
  std::string prompt;
  if (turns[0].role != ChatRole::kSystem) {
    const ChatTurn system{ChatRole::kSystem, std::string(kDefaultSystemText), 0};
    FASTVLM_RETURN_IF_ERROR(AppendTurn(system, &prompt));
  }
  for (const ChatTurn& turn : turns) {
    if (turn.role == ChatRole::kSystem && &turn != &turns[0]) {
      return Error(StatusCode::kInvalidArgument,
                   "turn {} has the role system, which only the first turn can have",
                   &turn - &turns[0] + 1);
    }
    FASTVLM_RETURN_IF_ERROR(AppendTurn(turn, &prompt));
  }
  if (add_generation_prompt) prompt += kAnswerStart;
  return prompt;
}

Result<std::string> ContinuePrompt(const ChatTurn& turn) {
  if (turn.role != ChatRole::kUser) {
    return Error(StatusCode::kInvalidArgument,
                 "expected a user turn after the answer, found one of role {}",
                 RoleName(turn.role));
  }
  std::string prompt(kTurnEnd);
  FASTVLM_RETURN_IF_ERROR(AppendTurn(turn, &prompt));
  prompt += kAnswerStart;
  return prompt;
}

std::vector<int32_t> TokenizePrompt(const Tokenizer& tokenizer, std::string_view prompt) {
  return *TokenizePromptUpTo(tokenizer, prompt, std::numeric_limits<size_t>::max(), 0);
}

std::optional<std::vector<int32_t>> TokenizePromptUpTo(const Tokenizer& tokenizer,
                                                       std::string_view prompt, size_t most,
                                                       size_t tokens_per_image) {
  std::vector<int32_t> ids;
  while (true) {
    const size_t image = prompt.find(kImagePlaceholder);
    const size_t before = ids.size();
    if (!tokenizer.EncodeUpTo(prompt.substr(0, image), most, &ids)) return std::nullopt;
    most -= ids.size() - before;
    if (image == std::string_view::npos) return ids;
    if (most < tokens_per_image) return std::nullopt;
    most -= tokens_per_image;
    ids.push_back(kImageTokenIndex);
    prompt.remove_prefix(image + kImagePlaceholder.size());
  }
}

}  // namespace fastvlm
