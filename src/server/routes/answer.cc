#include "server/routes/answer.h"

#include <fmt/ranges.h>

#include <chrono>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "server/generation.h"

namespace fastvlm {
namespace {

// A wait for the engine looks this often whether the client is still there.
constexpr std::chrono::milliseconds kLookForPieces(100);
constexpr int kClientClosedRequest = 499;  // nginx's status for this; only the log shows it

// One answer on its way to the client.
class Delivery {
 public:
  Delivery(ServerContext& context, Connection& connection, std::unique_ptr<Generation> generation,
           std::unique_ptr<AnswerFormat> format)
      : context_(context),
        connection_(connection),
        generation_(std::move(generation)),
        format_(std::move(format)) {}

  // Waits until there is something new; false if the client has gone.
  bool Wait() {
    const size_t before = pieces_.size();
    while (pieces_.size() == before && !generation_->ended()) {
      generation_->Take(kLookForPieces, &pieces_);
      if (connection_.ClientGone()) return Gone();
    }
    return true;
  }

  bool ended() const { return generation_->ended(); }

  // Why there is no answer, once it has ended.
  std::optional<ApiError> Problem() const {
    if (!generation_->status().ok()) return FromStatus(generation_->status());
    if (generation_->answer().finish_reason == FinishReason::kCancelled) {
      return Unavailable("The server is shutting down.");
    }
    return std::nullopt;
  }

  std::string Whole() {
    Account();
    return format_->Whole(generation_->answer(), pieces_);
  }

  const char* StreamType() const { return format_->StreamType(); }

  // Writes the stream from its beginning to its end; false if the client has gone.
  bool Stream(httplib::DataSink& sink) {
    std::string text = format_->Begin();
    while (true) {
      for (const AnswerPiece& piece : pieces_) text += format_->Piece(piece);
      pieces_.clear();
      if (ended()) break;
      if (!text.empty() && !Write(text, sink)) return Gone();
      text.clear();
      if (!Wait()) return false;
    }
    const std::optional<ApiError> problem = Problem();
    if (problem.has_value()) {
      connection_.record().note = "broke off: " + problem->message;
      text += format_->Broken(*problem);
    } else {
      Account();
      text += format_->End(generation_->answer());
    }
    if (!Write(text, sink)) return Gone();
    sink.done();
    return true;
  }

 private:
  static bool Write(const std::string& text, httplib::DataSink& sink) {
    return sink.write(text.data(), text.size());
  }

  bool Gone() {
    connection_.record().note = "client gone";
    connection_.CloseAfterThis();
    generation_.reset();  // cancels
    return false;
  }

  void Account() {
    const Answer& answer = generation_->answer();
    connection_.record().prompt_tokens = answer.prompt_tokens;
    connection_.record().completion_tokens = static_cast<int64_t>(answer.token_ids.size());
    context_.metrics.CountAnswer(answer);
  }

  ServerContext& context_;
  Connection& connection_;
  std::unique_ptr<Generation> generation_;
  std::unique_ptr<AnswerFormat> format_;
  std::vector<AnswerPiece> pieces_;
};

void SetStream(std::shared_ptr<Delivery> delivery, Exchange& exchange) {
  const char* type = delivery->StreamType();
  const auto provide = [delivery = std::move(delivery)](size_t, httplib::DataSink& sink) {
    return delivery->Stream(sink);
  };
  exchange.response.status = 200;
  exchange.response.set_header("X-Accel-Buffering",
                               "no");  // else an nginx in between collects them
  if (exchange.request.version == "HTTP/1.0") {
    exchange.connection.CloseAfterThis();  // without chunks, closing marks the end
    exchange.response.set_content_provider(type, provide);
  } else {
    exchange.response.set_chunked_content_provider(type, provide);
  }
}

// The size that the pictures of a call are brought to.
ImageUse UseOf(const Engine& engine, const Call& call) {
  ImageUse use{call.request.encode, call.background};
  const int trained = engine.model().info().image_size;
  if (use.encode.width == 0) use.encode.width = trained;
  if (use.encode.height == 0) use.encode.height = trained;
  return use;
}

}  // namespace

void AnswerCall(ServerContext& context, Exchange& exchange, Dialect dialect, Call call,
                std::unique_ptr<AnswerFormat> format) {
  const bool stream = call.stream;
  if (!call.notes.empty()) {
    exchange.response.set_header("X-Fastvlm-Note", fmt::format("{}", fmt::join(call.notes, "; ")));
  }
  if (context.engine.stats().queued >= std::max(context.options.max_queued, 1)) {
    return SendError(TooManyRequests(), dialect, exchange.response);
  }
  if (const auto error = context.images.Load(std::move(call.images), UseOf(context.engine, call),
                                             *exchange.memory)) {
    return SendError(*error, dialect, exchange.response);
  }
  if (!call.seed_given) call.request.generate.sampling.seed = std::random_device()();
  call.request.timeout_ms = context.options.request_timeout_ms;
  Result<std::unique_ptr<Generation>> generation =
      Generation::Start(context.engine, std::move(call.request), exchange.memory);
  if (!generation.ok()) {
    return SendError(FromStatus(generation.status()), dialect, exchange.response);
  }
  exchange.memory.reset();  // the engine keeps it until it is done
  const auto delivery = std::make_shared<Delivery>(
      context, exchange.connection, std::move(generation).value(), std::move(format));
  bool there = delivery->Wait();
  while (there && !stream && !delivery->ended()) there = delivery->Wait();
  if (!there) {
    exchange.response.status = kClientClosedRequest;
    return;
  }
  if (delivery->ended()) {
    if (const auto problem = delivery->Problem()) {
      return SendError(*problem, dialect, exchange.response);
    }
  }
  if (stream) return SetStream(delivery, exchange);
  SendJson(200, delivery->Whole(), exchange.response);
}

}  // namespace fastvlm
