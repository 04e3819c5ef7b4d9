#include "runtime/prompt.h"

#include <algorithm>

#include "base/status.h"

namespace fastvlm {
namespace {

ChatRole ToChatRole(Role role) {
  switch (role) {
    case Role::kSystem:
      return ChatRole::kSystem;
    case Role::kUser:
      return ChatRole::kUser;
    case Role::kAssistant:
      return ChatRole::kAssistant;
  }
  return ChatRole::kUser;
}

// The parts of a message in their order. A picture becomes "<image>\n", and each text stands on
// lines of its own. Pictures are left out unless place_pictures is set.
std::string JoinParts(std::span<const ContentPart> parts, bool place_pictures) {
  std::string text;
  for (const ContentPart& part : parts) {
    if (part.image != nullptr && !place_pictures) continue;
    if (!text.empty() && text.back() != '\n') text += '\n';
    if (part.image != nullptr) {
      text.append(kImagePlaceholder).append("\n");
    } else {
      text += part.text;
    }
  }
  return text;
}

}  // namespace

int64_t CommonPrefix(const TokenSequence& a, const TokenSequence& b) {
  const auto [end, ignored] = std::mismatch(a.ids.begin(), a.ids.end(), b.ids.begin(), b.ids.end());
  const int64_t common = end - a.ids.begin();
  for (size_t i = 0; i < a.pictures.size() && a.pictures[i].start < common; ++i) {
    if (i >= b.pictures.size() || a.pictures[i] != b.pictures[i]) return a.pictures[i].start;
  }
  return common;
}

Hash256 PictureKey(const Image& image, int width, int height, Fit fit) {
  Blake2b hash;
  for (int64_t value : {int64_t{image.width}, int64_t{image.height}, int64_t{width},
                        int64_t{height}, static_cast<int64_t>(fit)}) {
    uint8_t bytes[8];
    for (int i = 0; i < 8; ++i) bytes[i] = static_cast<uint8_t>(value >> (8 * i));
    hash.Add(bytes);
  }
  hash.Add(image.pixels);
  return hash.Finish();
}

TokenSequence ExpandPictures(std::span<const int32_t> ids, int64_t tokens_per_picture) {
  TokenSequence sequence;
  for (int32_t id : ids) {
    if (id == kImageTokenIndex) {
      sequence.pictures.push_back({sequence.size(), tokens_per_picture, {}});
      sequence.ids.insert(sequence.ids.end(), static_cast<size_t>(tokens_per_picture), id);
    } else {
      sequence.ids.push_back(id);
    }
  }
  return sequence;
}

Result<Conversation> ToConversation(std::span<const Message> messages) {
  Conversation conversation;
  for (const Message& message : messages) {
    ChatTurn turn;
    turn.role = ToChatRole(message.role);
    bool text_names_places = false, text_follows = false;
    for (const ContentPart& part : message.content) {
      if (part.image != nullptr) {
        ++turn.images;
        conversation.pictures.push_back(part.image);
        continue;
      }
      text_follows = text_follows || turn.images > 0;
      text_names_places =
          text_names_places || part.text.find(kImagePlaceholder) != std::string::npos;
    }
    turn.text = JoinParts(message.content, text_follows && !text_names_places);
    conversation.turns.push_back(std::move(turn));
  }
  if (conversation.turns.empty() || conversation.turns.back().role == ChatRole::kSystem) {
    return Error(StatusCode::kInvalidArgument,
                 "a conversation needs a message of the user, found {}",
                 conversation.turns.empty() ? "none" : "only the system's");
  }
  return conversation;
}

}  // namespace fastvlm
