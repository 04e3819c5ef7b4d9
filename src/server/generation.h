// One request in the engine, as the thread of its connection sees it.
#ifndef FASTVLM_SERVER_GENERATION_H_
#define FASTVLM_SERVER_GENERATION_H_

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "fastvlm/engine.h"

namespace fastvlm {

// What the engine said in one event.
struct AnswerPiece {
  std::string text;
  std::optional<TokenLogprob> token;
  std::vector<TokenLogprob> alternatives;
};

// Not thread-safe. The engine never waits for the connection: what the connection has not taken yet
// is kept, which is not much, since the length of an answer is bounded.
class Generation {
 public:
  // Submits the request, with the errors of Engine::Submit. `keep` lives until the engine is done
  // with the request.
  static Result<std::unique_ptr<Generation>> Start(Engine& engine, EngineRequest request,
                                                   std::shared_ptr<void> keep);
  ~Generation();  // cancels what has not ended
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  // Adds to `pieces` what has come since, waiting up to `time` for something.
  void Take(std::chrono::milliseconds time, std::vector<AnswerPiece>* pieces);

  // True when everything has been taken. Then either status() is an error or answer() is complete.
  bool ended() const { return ended_; }
  const Status& status() const { return state_->status; }
  const Answer& answer() const { return state_->answer; }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<AnswerPiece> pieces;
    bool cancelled = false;
    bool ended = false;
    Status status;
    Answer answer;
    std::shared_ptr<void> keep;
  };

  explicit Generation(Engine& engine) : engine_(engine), state_(std::make_shared<State>()) {}
  static bool Receive(State& state, const EngineEvent& event);

  Engine& engine_;
  std::shared_ptr<State> state_;
  int64_t id_ = 0;
  bool started_ = false;
  bool ended_ = false;
};

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_GENERATION_H_
