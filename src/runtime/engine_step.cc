#include <algorithm>
#include <cstring>

#include "base/status.h"
#include "runtime/engine_impl.h"

namespace fastvlm {
namespace {

// So many tokens of a prompt go into one pass. More are not measurably faster, and others wait
// until the pass ends: for their next token, or for their first one.
constexpr int64_t kPrefillRows = 64;

}  // namespace

void Engine::Impl::Start(Sequence& sequence) {
  Status begun = CatchOutOfMemory(kRequestMemory, [&] { return Begin(sequence); });
  if (!begun.ok()) Finish(sequence, std::nullopt, std::move(begun));
}

// Gives the sequence a cache, which begins with what others have computed of its prompt, and the
// visual tokens that are known.
Status Engine::Impl::Begin(Sequence& sequence) {
  sequence.answer.timings.queue_ms = sequence.since_submit.Milliseconds();
  sequence.chooser.emplace(sequence.generate.sampling, decoder.vocabulary(), shared.banned_ids,
                           std::move(sequence.constraint));
  const int64_t capacity = Capacity(sequence);
  sequence.cache = std::make_unique<KvCache>(decoder.config(), capacity, kv_type);
  // Room for the whole answer is made now, so that its tokens allocate nothing.
  const auto most = static_cast<size_t>(capacity - sequence.prompt_tokens + 1);
  sequence.answer.token_ids.reserve(most);
  sequence.tokens.ids.reserve(sequence.tokens.ids.size() + most);
  sequence.stream.Reserve(most);
  FindPictures(sequence, ReusePrefix(sequence));
  return {};
}

// Copies what is known of the prompt into the cache. Returns how many positions that are.
int64_t Engine::Impl::ReusePrefix(Sequence& sequence) {
  PrefixCache::Match best;
  EngineMemory::Caches caches = memory.caches();  // so that what is found stays until it is copied
  if (options.prefix_cache_bytes > 0) {
    best = caches.FindPrefix(sequence.owner, sequence.tokens);
    for (const auto& other : active) {
      if (other.get() == &sequence || other->owner != sequence.owner) continue;
      if (other->cache == nullptr) continue;
      const int64_t common =
          std::min(CommonPrefix(sequence.tokens, other->tokens), other->cache->length());
      if (common > best.positions) best = {other->cache.get(), common};
    }
  }
  // The last token is computed in any case, since the answer begins from its hidden state.
  const int64_t known = std::min(best.positions, sequence.prompt_tokens - 1);
  if (known > 0) sequence.cache->CopyFrom(*best.cache, known);
  caches.lock.unlock();
  sequence.answer.cached_tokens = known;
  UpdateStats([&](EngineStats& s) {
    s.prompt_tokens += sequence.prompt_tokens;
    s.cached_prompt_tokens += known;
    s.prefix_cache_hits += known > 0 ? 1 : 0;
  });
  return known;
}

// Leaves those pictures to be encoded that end behind position `known` and are not in the cache.
void Engine::Impl::FindPictures(Sequence& sequence, int64_t known) {
  sequence.visual.resize(sequence.pictures.size());
  for (size_t i = 0; i < sequence.visual.size(); ++i) {
    const PictureSpan& place = sequence.tokens.pictures[i];
    if (place.start + place.tokens <= known) sequence.pictures[i] = nullptr;
  }
  GoToNextPicture(sequence);
}

// To the next picture that has to be encoded; if there is none, the prompt can be read.
void Engine::Impl::GoToNextPicture(Sequence& sequence) {
  sequence.state = SequenceState::kEncode;
  for (size_t& i = sequence.next_picture; i < sequence.pictures.size(); ++i) {
    if (sequence.pictures[i] == nullptr) continue;
    // Looked up no earlier, since the same picture may stand in a prompt several times.
    sequence.visual[i] =
        memory.caches().FindPicture({sequence.owner, sequence.tokens.pictures[i].key});
    if (sequence.visual[i] == nullptr) return;
    sequence.pictures[i] = nullptr;
    UpdateStats([](EngineStats& s) { ++s.image_cache_hits; });
  }
  sequence.pictures.clear();
  sequence.picture_memory = {};
  sequence.state = SequenceState::kPrefill;
  sequence.since_phase = Stopwatch();
}

// Goes on with the encoding of the sequence's next picture, or begins with it.
void Engine::Impl::EncodeStep(Sequence& sequence) {
  Status done = CatchOutOfMemory(kRequestMemory, [&]() -> Status {
    if (encoding_for == nullptr) {
      encoding.emplace(shared, sequence.pictures[sequence.next_picture],
                       EncoderSize{sequence.encode.height, sequence.encode.width},
                       sequence.encode.fit);
      encoding_for = &sequence;
    }
    FASTVLM_RETURN_IF_ERROR(encoding->Step());
    CountWork(sequence, encoding->last_work());
    if (encoding->done()) TakePicture(sequence);
    return {};
  });
  if (!done.ok()) Finish(sequence, std::nullopt, std::move(done));
}

void Engine::Impl::TakePicture(Sequence& sequence) {
  const size_t i = sequence.next_picture;
  sequence.visual[i] = encoding->tokens();
  sequence.pictures[i] = nullptr;
  sequence.answer.timings.image_ms += encoding->timings().image_ms;
  sequence.answer.timings.encode_ms += encoding->timings().encode_ms;
  encoding.reset();
  encoding_for = nullptr;
  memory.caches().KeepPicture({sequence.owner, sequence.tokens.pictures[i].key},
                              sequence.visual[i]);
  UpdateStats([](EngineStats& s) { ++s.images_encoded; });
  ++sequence.next_picture;
  GoToNextPicture(sequence);
}

// One pass over the weights: the next token of every sequence that decodes, and a chunk of the
// prompt of `prefill`, unless that is null.
void Engine::Impl::Step(Sequence* prefill) {
  const int64_t hidden = decoder.config().hidden;
  rows.clear();
  segments.clear();
  for (const auto& sequence : active) {
    if (sequence->state != SequenceState::kDecode) continue;
    decoder.Embed(&sequence->token, 1, x.data() + static_cast<int64_t>(rows.size()) * hidden);
    rows.push_back(sequence.get());
    segments.push_back({sequence->cache.get(), 1});
  }
  const int64_t decoding = static_cast<int64_t>(rows.size());
  int64_t count = 0;
  if (prefill != nullptr) {
    const int64_t done = prefill->cache->length();
    count = std::min(kPrefillRows, prefill->prompt_tokens - done);
    EmbedPrompt(*prefill, done, count, x.data() + decoding * hidden);
    segments.push_back({prefill->cache.get(), count});
    CountWork(*prefill, work_per_token * static_cast<double>(count));
  }
  if (segments.empty()) return;
  const Status computed = CatchOutOfMemory(kRequestMemory, [&]() -> Status {
    Compute(prefill, count);
    return {};
  });
  if (!computed.ok()) {
    // Nobody can go on from a pass that was left half way. It allocates nothing, so that this is
    // not known to happen.
    if (prefill != nullptr && (rows.empty() || rows.back() != prefill)) rows.push_back(prefill);
    for (Sequence* sequence : rows) {
      Finish(*sequence, std::nullopt, Status(StatusCode::kResourceExhausted, "out of memory"));
    }
    return;
  }
  for (Sequence* sequence : rows) Deliver(*sequence);
}

// What holds up all others that use the model: a pass over the weights.
void Engine::Impl::Compute(Sequence* prefill, int64_t prefill_rows) {
  const ComputeLock lock(shared.compute_mutex);
  decoder.Forward(x.data(), segments, workspace, shared.pool);
  if (prefill != nullptr && prefill->cache->length() == prefill->prompt_tokens) {
    // The prompt's last row moves beside those that decode: all of them get logits.
    const int64_t hidden = decoder.config().hidden;
    const int64_t decoding = static_cast<int64_t>(rows.size());
    std::memmove(x.data() + decoding * hidden, x.data() + (decoding + prefill_rows - 1) * hidden,
                 static_cast<size_t>(hidden) * sizeof(float));
    rows.push_back(prefill);
    prefill->visual.clear();
    prefill->state = SequenceState::kDecode;
    prefill->answer.timings.prefill_ms = prefill->since_phase.Milliseconds();
  }
  if (!rows.empty()) ChooseTokens();
}

// Embeddings of positions [first, first + count) of the prompt.
void Engine::Impl::EmbedPrompt(const Sequence& sequence, int64_t first, int64_t count,
                               float* out) const {
  const int64_t hidden = decoder.config().hidden;
  for (int64_t position = first; position < first + count; ++position, out += hidden) {
    const int32_t id = sequence.tokens.ids[static_cast<size_t>(position)];
    if (id != kImageTokenIndex) {
      decoder.Embed(&id, 1, out);
      continue;
    }
    const std::vector<PictureSpan>& pictures = sequence.tokens.pictures;
    const auto after =
        std::upper_bound(pictures.begin(), pictures.end(), position,
                         [](int64_t at, const PictureSpan& span) { return at < span.start; });
    const size_t index = static_cast<size_t>(after - pictures.begin()) - 1;
    const float* row = sequence.visual[index]->data() + (position - pictures[index].start) * hidden;
    std::copy(row, row + hidden, out);
  }
}

// Chooses the next token of each sequence in `rows` from row i of x, the hidden state of sequence
// i.
void Engine::Impl::ChooseTokens() {
  const int64_t count = static_cast<int64_t>(rows.size());
  const int64_t vocabulary = decoder.vocabulary();
  decoder.Logits(x.data(), count, logits.data(), workspace, shared.pool);
  shared.pool.ParallelFor(count, [&](int64_t i, int) {
    Sequence& sequence = *rows[static_cast<size_t>(i)];
    const std::span row(logits.data() + i * vocabulary, static_cast<size_t>(vocabulary));
    sequence.choice = CatchOutOfMemory(kRequestMemory, [&]() -> Status {
      sequence.Choose(row, shared.tokenizer);
      return {};
    });
  });
  UpdateStats([&](EngineStats& s) { s.generated_tokens += count; });
}

// Tells the callback the chosen token, and the end if it was the last one.
void Engine::Impl::Deliver(Sequence& sequence) {
  std::optional<FinishReason> reason;
  Status accepted = CatchOutOfMemory(kRequestMemory, [&] { return Accept(sequence, &reason); });
  if (!accepted.ok()) return Finish(sequence, std::nullopt, std::move(accepted));
  if (reason) Finish(sequence, reason, {});
}

// `reason` is set if nothing may follow the chosen token.
Status Engine::Impl::Accept(Sequence& sequence, std::optional<FinishReason>* reason) {
  FASTVLM_RETURN_IF_ERROR(std::move(sequence.choice));
  Answer& answer = sequence.answer;
  const int32_t token = sequence.token;
  if (token < 0) {
    return NoFiniteLogit(model->info().directory);
  }
  if (answer.token_ids.empty()) {
    answer.timings.ttft_ms = sequence.since_submit.Milliseconds();
    sequence.since_phase = Stopwatch();
  }
  answer.token_ids.push_back(token);
  sequence.tokens.ids.push_back(token);
  if (shared.IsEos(token)) {
    *reason = FinishReason::kStop;
    return {};
  }
  sequence.chooser->Accept(token);
  EngineEvent event;
  event.text = sequence.stream.Add(token);
  if (sequence.top_logprobs >= 0) {
    event.token = &sequence.logprob;
    event.alternatives = std::move(sequence.alternatives);
  }
  FASTVLM_ASSIGN_OR_RETURN(const bool wanted, sequence.Tell(event));
  const bool full = answer.token_ids.size() >= static_cast<size_t>(sequence.generate.max_tokens) ||
                    sequence.cache->length() == context;
  if (sequence.stream.stopped()) {
    *reason = FinishReason::kStop;
  } else if (!wanted) {
    *reason = FinishReason::kCancelled;
  } else if (full) {
    *reason = FinishReason::kLength;
  }
  return {};
}

}  // namespace fastvlm
