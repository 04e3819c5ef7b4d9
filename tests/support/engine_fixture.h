// The bundled model's engine, and what tests ask it.
#ifndef FASTVLM_TESTS_SUPPORT_ENGINE_FIXTURE_H_
#define FASTVLM_TESTS_SUPPORT_ENGINE_FIXTURE_H_

#include <gtest/gtest.h>

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "fastvlm/engine.h"
#include "fastvlm/session.h"
#include "support/paths.h"

namespace fastvlm {

inline std::shared_ptr<const Image> Picture(const std::string& name) {
  static std::map<std::string, std::shared_ptr<const Image>> pictures;
  auto& picture = pictures[name];
  if (picture == nullptr) {
    picture =
        std::make_shared<const Image>(Image::FromFile(kNano + "/samples/" + name + ".png").value());
  }
  return picture;
}

inline EngineRequest Ask(const std::string& picture, const std::string& text, int max_tokens = 48) {
  EngineRequest request;
  Message message;
  if (!picture.empty()) message.content.push_back({"", Picture(picture)});
  message.content.push_back({text, nullptr});
  request.messages.push_back(std::move(message));
  request.generate.max_tokens = max_tokens;
  return request;
}

// Gathers the events of one request.
class Collector {
 public:
  EngineCallback Callback() {
    return [this](const EngineEvent& event) {
      const std::lock_guard lock(mutex_);
      EXPECT_FALSE(ended_) << "an event after the end";
      streamed_ += event.text;
      if (event.token != nullptr) tokens_.push_back(*event.token);
      if (!event.alternatives.empty()) alternatives_.push_back(event.alternatives);
      if (event.answer != nullptr) answer_ = *event.answer;
      status_ = event.status;
      ended_ = event.answer != nullptr || !event.status.ok();
      ++events_;
      news_.notify_all();
      return wanted_ < 0 || events_ < wanted_;
    };
  }
  void CancelAfter(int events) { wanted_ = events; }
  void WaitForEvents(int count) {
    std::unique_lock lock(mutex_);
    news_.wait(lock, [&] { return ended_ || events_ >= count; });
  }
  const Answer& Wait() {
    WaitForEnd();
    EXPECT_TRUE(status_.ok()) << status_.message();
    return answer_;
  }
  Status WaitForStatus() {
    WaitForEnd();
    return status_;
  }
  const std::string& streamed() const { return streamed_; }
  const std::vector<TokenLogprob>& tokens() const { return tokens_; }
  const std::vector<std::vector<TokenLogprob>>& alternatives() const { return alternatives_; }

 private:
  void WaitForEnd() {
    std::unique_lock lock(mutex_);
    news_.wait(lock, [&] { return ended_; });
  }

  std::mutex mutex_;
  std::condition_variable news_;
  int wanted_ = -1;
  int events_ = 0;
  bool ended_ = false;
  std::string streamed_;
  std::vector<TokenLogprob> tokens_;
  std::vector<std::vector<TokenLogprob>> alternatives_;
  Answer answer_;
  Status status_;
};

inline std::shared_ptr<const Model> LoadNano(Precision precision) {
  ModelOptions options;
  options.precision = precision;
  options.threads = 1;
  return Model::Load(kNano, options).value();
}

class EngineTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { model_ = LoadNano(Precision::kF32); }
  static void TearDownTestSuite() { model_.reset(); }

  static std::unique_ptr<Engine> NewEngine(const EngineOptions& options = {}) {
    return Engine::Create(model_, options).value();
  }
  static Answer Run(Engine& engine, EngineRequest request) {
    Collector collector;
    EXPECT_TRUE(engine.Submit(std::move(request), collector.Callback()).ok());
    return collector.Wait();
  }
  // What a session of its own answers to a request of one message.
  static Answer Alone(const EngineRequest& request,
                      const std::shared_ptr<const Model>& model = model_) {
    UserTurn turn;
    for (const ContentPart& part : request.messages.back().content) {
      if (part.image != nullptr) {
        turn.images.push_back(*part.image);
      } else {
        turn.text = part.text;
      }
    }
    turn.encode = request.encode;
    Session session = Session::Create(model).value();
    return session.Ask(turn, request.generate).value();
  }

  static inline std::shared_ptr<const Model> model_;
};

inline constexpr const char* kPictures[] = {"fox", "count", "text", "group", "bell", "demo"};

}  // namespace fastvlm

#endif  // FASTVLM_TESTS_SUPPORT_ENGINE_FIXTURE_H_
