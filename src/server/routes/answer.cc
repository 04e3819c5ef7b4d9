#include "server/routes/answer.h"

#include <fmt/ranges.h>

#include <chrono>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "base/printable.h"
#include "server/generation.h"

namespace fastvlm {
namespace {

using Clock = std::chrono::steady_clock;

// A wait for the engine looks this often whether the client is still there.
constexpr std::chrono::milliseconds kLookForPieces(100);
constexpr double kLeastTimeMs = 1;
constexpr int kClientClosedRequest = 499;  // nginx's status for this; only the log shows it

// One answer on its way to the client.
class Delivery {
 public:
  Delivery(ServerContext& context, Connection& connection, std::unique_ptr<KeyShare> share,
           std::unique_ptr<Generation> generation, std::unique_ptr<AnswerFormat> format)
      : context_(context),
        connection_(connection),
        share_(std::move(share)),
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
    share_->Spend(answer.prompt_tokens + static_cast<int64_t>(answer.token_ids.size()));
    context_.metrics.CountAnswer(answer);
  }

  ServerContext& context_;
  Connection& connection_;
  std::unique_ptr<KeyShare> share_;
  std::unique_ptr<Generation> generation_;
  std::unique_ptr<AnswerFormat> format_;
  std::vector<AnswerPiece> pieces_;
};

// What no waiting helps against.
std::optional<ApiError> CheckCost(const ServerContext& context, const Call& call) {
  const EncodeOptions& encode = call.request.encode;
  const int64_t pixels = int64_t{encode.width} * encode.height;
  if (pixels <= context.limits.max_encoder_pixels) return std::nullopt;
  return BadRequest(
      "resolution",
      fmt::format("A resolution of {}x{} is {} pixels, more than the limit of {}.", encode.width,
                  encode.height, pixels, context.limits.max_encoder_pixels));
}

ApiError KeyLimitReached(int wait_s) {
  ApiError error = TooManyRequests();
  error.code = "rate_limit_exceeded";
  error.message = "This key has reached its limit; try again later.";
  error.retry_after_s = wait_s;
  return error;
}

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

// All of a request has to fit into its time, what comes before the engine as well.
Clock::time_point DeadlineOf(const ServerContext& context, const Connection& connection) {
  const double left =
      context.options.request_timeout_ms - connection.record().since_start.Milliseconds();
  return Clock::now() + std::chrono::microseconds(static_cast<int64_t>(std::max(left, 0.0) * 1000));
}

double MillisecondsUntil(Clock::time_point deadline) {
  return std::chrono::duration<double, std::milli>(deadline - Clock::now()).count();
}

bool Unwanted(const ServerContext& context, const Connection& connection) {
  return connection.ClientGone() || context.stopping();
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

std::optional<ApiError> LoadImages(ServerContext& context, Exchange& exchange, Call& call) {
  if (auto error = CheckCost(context, call)) return error;
  return context.images.Load(std::move(call.images), UseOf(context.engine, call), *exchange.memory,
                             DeadlineOf(context, exchange.connection),
                             [&] { return Unwanted(context, exchange.connection); });
}

void AnswerCall(ServerContext& context, Exchange& exchange, Dialect dialect, Call call,
                std::unique_ptr<AnswerFormat> format) {
  const bool stream = call.stream;
  if (!call.notes.empty()) {
    exchange.response.set_header("X-Fastvlm-Note",
                                 Printable(fmt::format("{}", fmt::join(call.notes, "; "))));
  }
  Connection& connection = exchange.connection;
  const auto refuse = [&](const ApiError& error) { SendError(error, dialect, exchange.response); };
  auto share = std::make_unique<KeyShare>(context.key_limits, connection.record().key);
  if (share->wait_s() > 0) return refuse(KeyLimitReached(share->wait_s()));
  if (context.engine.stats().queued >= std::max(context.options.max_queued, 1)) {
    return refuse(TooManyRequests());
  }
  if (const auto error = LoadImages(context, exchange, call)) return refuse(*error);
  const Clock::time_point deadline = DeadlineOf(context, connection);
  call.request.owner = connection.record().key;
  call.request.timeout_ms = std::max(MillisecondsUntil(deadline), kLeastTimeMs);  // 0: no limit
  call.request.unwanted = [&] { return Unwanted(context, connection) || Clock::now() > deadline; };
  if (!call.seed_given) call.request.generate.sampling.seed = std::random_device()();
  Result<std::unique_ptr<Generation>> generation =
      Generation::Start(context.engine, std::move(call.request), exchange.memory);
  if (!generation.ok()) {
    const bool late =
        generation.status().code() == StatusCode::kCancelled && Clock::now() > deadline;
    return refuse(FromStatus(late ? Error(StatusCode::kTimedOut, "the request took too long")
                                  : generation.status()));
  }
  exchange.memory.reset();  // the engine keeps it until it is done
  const auto delivery = std::make_shared<Delivery>(
      context, connection, std::move(share), std::move(generation).value(), std::move(format));
  bool there = delivery->Wait();
  while (there && !stream && !delivery->ended()) there = delivery->Wait();
  if (!there) {
    exchange.response.status = kClientClosedRequest;
    return;
  }
  if (delivery->ended()) {
    if (const auto problem = delivery->Problem()) return refuse(*problem);
  }
  if (stream) return SetStream(delivery, exchange);
  SendJson(200, delivery->Whole(), exchange.response);
}

}  // namespace fastvlm
