#include <algorithm>
#include <cstring>

#include "base/status.h"
#include "runtime/engine_impl.h"

namespace fastvlm {
namespace {

// So many tokens of a prompt go into one pass while others wait for their next token.
constexpr int64_t kSharedPrefillRows = 64;

}  // namespace

void Engine::Impl::Start(Sequence& sequence) {
  Status begun = CatchOutOfMemory(kRequestMemory, [&] { return Begin(sequence); });
  if (sequence.state == SequenceState::kFinished) return;  // it came to its end meanwhile
  if (!begun.ok()) return Finish(sequence, std::nullopt, std::move(begun));
  sequence.state = SequenceState::kPrefill;
  sequence.since_phase = Stopwatch();
}

// Gives the sequence a cache, which begins with what others have computed of its prompt, and
// encodes its pictures. The other sequences go on meanwhile.
Status Engine::Impl::Begin(Sequence& sequence) {
  sequence.answer.timings.queue_ms = sequence.since_submit.Milliseconds();
  sequence.chooser.emplace(sequence.generate.sampling, decoder.vocabulary(), shared.banned_ids,
                           std::move(sequence.constraint));
  // The last token of an answer is never decoded and needs no place in the cache.
  const int64_t capacity =
      std::min(context, sequence.prompt_tokens + sequence.generate.max_tokens - 1);
  sequence.cache = std::make_unique<KvCache>(decoder.config(), capacity, kv_type);
  // Room for the whole answer is made now, so that its tokens allocate nothing.
  const auto most = static_cast<size_t>(capacity - sequence.prompt_tokens + 1);
  sequence.answer.token_ids.reserve(most);
  sequence.tokens.ids.reserve(sequence.tokens.ids.size() + most);
  sequence.stream.Reserve(most);
  return EncodePictures(sequence, ReusePrefix(sequence));
}

// Copies what is known of the prompt into the cache. Returns how many positions that are.
int64_t Engine::Impl::ReusePrefix(Sequence& sequence) {
  PrefixCache::Match best;
  if (options.prefix_cache_bytes > 0) {
    best = prefix_cache.Find(sequence.owner, sequence.tokens);
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
  sequence.answer.cached_tokens = known;
  UpdateStats([&](EngineStats& s) {
    s.prompt_tokens += sequence.prompt_tokens;
    s.cached_prompt_tokens += known;
    s.prefix_cache_hits += known > 0 ? 1 : 0;
  });
  return known;
}

// Finds or makes the visual tokens of the pictures, but for those that end before position `known`.
Status Engine::Impl::EncodePictures(Sequence& sequence, int64_t known) {
  const EncodeOptions& encode = sequence.encode;
  const auto decode_meanwhile = [&](double) {
    ReadInbox();
    if (sequence.state == SequenceState::kFinished) return false;
    Step(/*with_prefill=*/false);
    return true;
  };
  sequence.visual.resize(sequence.pictures.size());
  for (size_t i = 0; i < sequence.visual.size(); ++i) {
    const PictureSpan place = sequence.tokens.pictures[i];
    if (place.start + place.tokens <= known) continue;
    VisualTokens visual = image_cache.Find({sequence.owner, place.key});
    if (visual != nullptr) {
      UpdateStats([](EngineStats& s) { ++s.image_cache_hits; });
    } else {
      const std::shared_ptr<const Image> picture = sequence.pictures[i];
      Timings timings;
      ComputeLock lock(shared.compute_mutex);
      FASTVLM_ASSIGN_OR_RETURN(Buffer<float> made,
                               shared.VisualTokens(*picture, {encode.height, encode.width},
                                                   encode.fit, lock, decode_meanwhile, &timings));
      lock.unlock();
      sequence.answer.timings.image_ms += timings.image_ms;
      sequence.answer.timings.encode_ms += timings.encode_ms;
      visual = std::make_shared<const Buffer<float>>(std::move(made));
      image_cache.Keep({sequence.owner, place.key}, visual);
      UpdateStats([&](EngineStats& s) {
        ++s.images_encoded;
        s.image_cache_bytes = image_cache.bytes();
      });
    }
    sequence.visual[i] = std::move(visual);
  }
  sequence.pictures.clear();
  return {};
}

// One pass over the weights: the next token of every sequence that decodes, and a chunk of one
// prompt.
void Engine::Impl::Step(bool with_prefill) {
  const int64_t hidden = decoder.config().hidden;
  rows.clear();
  segments.clear();
  Sequence* prefill = nullptr;
  for (const auto& sequence : active) {
    if (sequence->state == SequenceState::kDecode) {
      decoder.Embed(&sequence->token, 1, x.data() + static_cast<int64_t>(rows.size()) * hidden);
      rows.push_back(sequence.get());
      segments.push_back({sequence->cache.get(), 1});
    } else if (with_prefill && sequence->state == SequenceState::kPrefill) {
      prefill = sequence.get();
    }
  }
  const int64_t decoding = static_cast<int64_t>(rows.size());
  int64_t count = 0;
  if (prefill != nullptr) {
    const int64_t done = prefill->cache->length();
    const int64_t most = decoding > 0 ? kSharedPrefillRows : workspace.max_tokens;
    count = std::min(most, prefill->prompt_tokens - done);
    EmbedPrompt(*prefill, done, count, x.data() + decoding * hidden);
    segments.push_back({prefill->cache.get(), count});
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
