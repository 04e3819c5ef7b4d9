// Which requests are computed together, and the memory that they need for it.
#include <algorithm>
#include <iterator>

#include "base/status.h"
#include "runtime/engine_impl.h"

namespace fastvlm {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

int64_t InMiB(int64_t bytes) { return (bytes + kMiB - 1) / kMiB; }

int64_t BytesOf(const TokenSequence& tokens) {
  return static_cast<int64_t>(tokens.ids.capacity() * sizeof(int32_t) +
                              tokens.pictures.capacity() * sizeof(PictureSpan));
}

}  // namespace

// Of the cache. The last token of an answer is never decoded and needs no place in it.
int64_t Engine::Impl::Capacity(const Sequence& sequence) const {
  return std::min(context, sequence.prompt_tokens + sequence.generate.max_tokens - 1);
}

int64_t Engine::Impl::WorkspaceBytes() const {
  return workspace.bytes() + static_cast<int64_t>((x.size() + logits.size()) * sizeof(float));
}

int64_t Engine::Impl::ActiveBytes(const Sequence& sequence) const {
  const int64_t capacity = Capacity(sequence);
  const int64_t answer = capacity - sequence.prompt_tokens + 1;
  // The ids of the answer stand in two places, those of the prompt are moved to a longer list.
  const int64_t ids = (sequence.prompt_tokens + 2 * answer) * int64_t{sizeof(int32_t)};
  const int64_t logprobs =
      sequence.top_logprobs >= 0 ? decoder.vocabulary() * int64_t{sizeof(float)} : 0;
  const int64_t visual =
      sequence.answer.image_tokens * decoder.config().hidden * int64_t{sizeof(float)};
  return KvCache::Bytes(decoder.config(), capacity, kv_type) + ids +
         AnswerStream::ReservedBytes(answer) +
         Sampler::Bytes(sequence.generate.sampling, decoder.vocabulary()) + logprobs + visual;
}

int64_t Engine::Impl::EncoderBytes(const Sequence& sequence) const {
  if (sequence.pictures.empty()) return 0;
  return PictureEncoding::Bytes(shared, {sequence.encode.height, sequence.encode.width});
}

// For what a sequence holds while it waits; and whether it could ever be computed.
Status Engine::Impl::ClaimWaiting(Sequence& sequence) {
  int64_t pixels = 0;
  for (const auto& picture : sequence.pictures) {
    pixels += static_cast<int64_t>(picture->pixels.size());
  }
  const int64_t waiting = int64_t{sizeof(Sequence)} + BytesOf(sequence.tokens);
  const int64_t needed =
      workspace_memory.bytes() + waiting + pixels + ActiveBytes(sequence) + EncoderBytes(sequence);
  if (memory.limit() > 0 && needed > memory.limit()) {
    return Error(StatusCode::kInvalidArgument,
                 "the request needs {} MiB of memory, and the engine may hold {} MiB; shorten the "
                 "prompt, lower the resolution or max_tokens, or send fewer pictures",
                 InMiB(needed), InMiB(memory.limit()));
  }
  std::optional<EngineMemory::Claim> claim = memory.Take(waiting);
  std::optional<EngineMemory::Claim> picture_claim;
  if (claim) picture_claim = memory.Take(pixels);
  if (!claim || !picture_claim) {
    UpdateStats([](EngineStats& s) { ++s.rejected; });
    return Error(StatusCode::kResourceExhausted,
                 "there is no memory left for another waiting request; try again later");
  }
  sequence.waiting_memory = *std::move(claim);
  sequence.picture_memory = *std::move(picture_claim);
  return {};
}

// Whether there is memory to compute the sequence, which it has then.
bool Engine::Impl::ClaimActive(Sequence& sequence) {
  // There is one encoding at a time. The first picture makes room for it, a larger one for more.
  const int64_t encoder = EncoderBytes(sequence);
  std::optional<EngineMemory::Claim> larger;
  if (encoder > encoder_memory.bytes()) {
    larger = memory.Take(encoder - encoder_memory.bytes());
    if (!larger) return false;
  }
  std::optional<EngineMemory::Claim> claim = memory.Take(ActiveBytes(sequence));
  if (!claim) return false;
  sequence.active_memory = *std::move(claim);
  if (larger) encoder_memory.Join(*std::move(larger));
  return true;
}

// When no picture is left to be encoded.
void Engine::Impl::GiveBackEncoder() {
  if (encoder_memory.bytes() == 0) return;
  const bool needed = std::any_of(active.begin(), active.end(),
                                  [](const auto& sequence) { return !sequence->pictures.empty(); });
  if (!needed) encoder_memory = {};
}

void Engine::Impl::Admit() {
  for (const auto& sequence : queue) sequence->passed_by = false;
  while (!queue.empty() && active.size() < static_cast<size_t>(options.max_active) && AdmitOne()) {
  }
}

// The next one is the first of the owner that has fewest at work. If there is too little memory for
// it, others may go first, but not more of them than can be active at a time.
bool Engine::Impl::AdmitOne() {
  auto next = queue.end();
  int64_t fewest = 0;
  for (auto it = queue.begin(); it != queue.end(); ++it) {
    if ((*it)->passed_by) continue;
    const int64_t at_work = std::count_if(active.begin(), active.end(), [&](const auto& other) {
      return other->owner == (*it)->owner;
    });
    if (next != queue.end() && at_work >= fewest) continue;
    next = it;
    fewest = at_work;
  }
  if (next == queue.end()) return false;
  Sequence& sequence = **next;
  if (ClaimActive(sequence)) {
    for (const auto& other : queue) other->overtaken += other->passed_by ? 1 : 0;
    active.push_back(std::move(*next));
    queue.erase(next);
    sequence.admitted = true;
    Join(sequence);
    UpdateStats([](EngineStats& s) { ++s.active; });
    return true;
  }
  if (active.empty()) {
    // Nothing is at work that would end and make room: what waits takes too much.
    Finish(sequence, std::nullopt, CatchOutOfMemory(kRequestMemory, [] {
             return Error(StatusCode::kResourceExhausted,
                          "there is too little memory left beside the requests that wait; try "
                          "again later");
           }));
    queue.erase(next);
    return true;
  }
  sequence.passed_by = true;
  return sequence.overtaken < options.max_active;
}

}  // namespace fastvlm
