#include "server/generation.h"

#include <iterator>
#include <utility>

namespace fastvlm {

Result<std::unique_ptr<Generation>> Generation::Start(Engine& engine, EngineRequest request,
                                                      std::shared_ptr<void> keep) {
  std::unique_ptr<Generation> generation(new Generation(engine));
  generation->state_->keep = std::move(keep);
  const Result<int64_t> id = engine.Submit(
      std::move(request),
      [state = generation->state_](const EngineEvent& event) { return Receive(*state, event); });
  if (!id.ok()) return id.status();
  generation->id_ = *id;
  generation->started_ = true;
  return generation;
}

Generation::~Generation() {
  if (!started_) return;
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->ended) return;
    state_->cancelled = true;
  }
  engine_.Cancel(id_);
}

bool Generation::Receive(State& state, const EngineEvent& event) {
  const std::lock_guard lock(state.mutex);
  const bool end = event.answer != nullptr || !event.status.ok();
  if (!event.text.empty() || event.token != nullptr) {
    AnswerPiece piece;
    piece.text = event.text;
    if (event.token != nullptr) piece.token = *event.token;
    piece.alternatives = event.alternatives;
    state.pieces.push_back(std::move(piece));
  }
  if (end) {
    state.ended = true;
    state.status = event.status;
    if (event.answer != nullptr) state.answer = *event.answer;
    state.keep.reset();
  }
  if (end || !state.pieces.empty()) state.changed.notify_one();
  return !state.cancelled;
}

void Generation::Take(std::chrono::milliseconds time, std::vector<AnswerPiece>* pieces) {
  std::unique_lock lock(state_->mutex);
  state_->changed.wait_for(lock, time, [this] { return state_->ended || !state_->pieces.empty(); });
  std::move(state_->pieces.begin(), state_->pieces.end(), std::back_inserter(*pieces));
  state_->pieces.clear();
  ended_ = state_->ended;
}

}  // namespace fastvlm
