// Whose prompt the engine works on next.
#include <algorithm>

#include "runtime/engine_impl.h"
#include "runtime/prefill.h"

namespace fastvlm {
namespace {

bool IsBegun(const Sequence& sequence) {
  return sequence.state == SequenceState::kEncode || sequence.state == SequenceState::kPrefill;
}

// Whether its prompt is still to be computed.
bool HasPrompt(const Sequence& sequence) {
  return sequence.state == SequenceState::kWaiting || IsBegun(sequence);
}

// a and b: begun. Among equals, the one that is nearer to its first token.
bool ComesFirst(const Sequence& a, const Sequence& b) {
  if (a.share.owner != b.share.owner) return a.share.owner < b.share.owner;
  if (a.share.request != b.share.request) return a.share.request < b.share.request;
  return a.state == SequenceState::kPrefill && b.state == SequenceState::kEncode;
}

}  // namespace

// A newcomer begins beside those who were served least, so that it comes next without making up for
// a time in which it was not there.
void Engine::Impl::Join(Sequence& sequence) {
  const Sequence* least = nullptr;  // of all owners
  const Sequence* own = nullptr;    // of its own
  for (const auto& other : active) {
    if (other.get() == &sequence || !HasPrompt(*other)) continue;
    if (least == nullptr || other->share.owner < least->share.owner) least = other.get();
    if (other->owner != sequence.owner) continue;
    if (own == nullptr || other->share.request < own->share.request) own = other.get();
  }
  sequence.share = {};
  if (least != nullptr) sequence.share.owner = least->share.owner;
  if (own != nullptr) sequence.share = own->share;
}

void Engine::Impl::CountWork(Sequence& sequence, double work) {
  sequence.share.request += work;
  for (const auto& other : active) {
    if (other->owner == sequence.owner) other->share.owner += work;
  }
}

// Whether the sequence had better wait until another one, which is begun, has computed what both
// need: a picture, or the common beginning that is being read just now.
bool Engine::Impl::MustWait(const Sequence& sequence) const {
  const bool keeps_pictures = options.image_cache_bytes > 0 || options.prefix_cache_bytes > 0;
  const auto needs = [&](const Hash256& key) {
    return std::any_of(sequence.tokens.pictures.begin(), sequence.tokens.pictures.end(),
                       [&](const PictureSpan& place) { return place.key == key; });
  };
  for (const auto& other : active) {
    if (other.get() == &sequence || other->owner != sequence.owner || !IsBegun(*other)) continue;
    if (keeps_pictures) {
      for (size_t i = other->next_picture; i < other->pictures.size(); ++i) {
        if (other->pictures[i] != nullptr && needs(other->tokens.pictures[i].key)) return true;
      }
    }
    if (options.prefix_cache_bytes > 0 && other->state == SequenceState::kPrefill &&
        CommonPrefix(sequence.tokens, other->tokens) > other->cache->length()) {
      return true;
    }
  }
  return false;
}

Sequence* Engine::Impl::NextPrompt() const {
  Sequence* next = nullptr;
  for (const auto& sequence : active) {
    if (!IsBegun(*sequence)) continue;
    if (next == nullptr || ComesFirst(*sequence, *next)) next = sequence.get();
  }
  return next;
}

void Engine::Impl::Advance() {
  for (size_t i = 0; i < active.size(); ++i) {
    Sequence& sequence = *active[i];
    if (sequence.state == SequenceState::kWaiting && !MustWait(sequence)) Start(sequence);
  }
  Sequence* prompt = NextPrompt();
  if (prompt != nullptr && prompt->state == SequenceState::kEncode) {
    // There is one encoding at a time. Who waits for the encoder drives on the one under way.
    EncodeStep(encoding_for != nullptr ? *encoding_for : *prompt);
    prompt = nullptr;
  }
  Step(prompt);
}

}  // namespace fastvlm
