#include "server/remote_image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <netinet/in.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/out_of_memory.h"
#include "server/image_loader.h"
#include "support/running_server.h"

namespace fastvlm {
namespace {

using ::testing::HasSubstr;

// A web server that shows demo.png at /demo.png and sends who asks for /moved elsewhere.
class Web {
 public:
  Web() {
    server_.Get("/moved", [this](const httplib::Request&, httplib::Response& response) {
      ++visits;
      const std::lock_guard lock(mutex_);
      response.set_redirect(location_);
    });
    server_.Get("/demo.png", [this](const httplib::Request&, httplib::Response& response) {
      ++visits;
      const std::vector<uint8_t> bytes = SampleBytes("demo.png");
      response.set_content(std::string(bytes.begin(), bytes.end()), "image/png");
    });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
  }
  ~Web() {
    server_.stop();
    thread_.join();
  }

  int port() const { return port_; }
  std::string Url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
  }

  void MoveTo(const std::string& location) {
    const std::lock_guard lock(mutex_);
    location_ = location;
  }

  std::atomic<int> visits = 0;

 private:
  std::mutex mutex_;
  std::string location_;
  httplib::Server server_;
  int port_;
  std::thread thread_;
};

// What the server says about a request with this picture, when `open` counts as public and the rest
// of this machine does not.
std::optional<ApiError> Load(const Web& open, const std::string& url) {
  ImageLoaderOptions options;
  options.remote.allows = [port = open.port()](const sockaddr& address) {
    sockaddr_in v4{};
    if (address.sa_family == AF_INET) std::memcpy(&v4, &address, sizeof(v4));
    return ntohs(v4.sin_port) == port || IsPublicAddress(address);
  };
  ImageLoader loader(options);
  MemoryBudget budget(1 << 24);
  MemoryShare memory(budget);
  CallImage source;
  source.param = "messages[0]";
  source.url = url;
  std::optional<ApiError> error = loader.Load({source}, {{.width = 64, .height = 64}, {}}, memory);
  EXPECT_EQ(source.decoded->pixels.empty(), error.has_value());
  return error;
}

TEST(RemoteImage, IsFetchedWithinItsLimitsFromPublicAddressesOnly) {
  Running server;
  const std::string base = "http://127.0.0.1:" + std::to_string(server.port());
  RemoteImageOptions options;
  const auto code = [&](const std::string& url) {
    const auto fetched = FetchRemoteImage(url, options);
    return fetched.ok() ? StatusCode::kOk : fetched.status().code();
  };
  for (const std::string& url :
       {base + "/samples/demo.png", "http://localhost:" + std::to_string(server.port()) + "/health",
        std::string("http://[::1]:80/"), std::string("http://0x7f000001/")}) {
    const auto refused = FetchRemoteImage(url, options);
    ASSERT_FALSE(refused.ok()) << url;
    EXPECT_THAT(refused.status().message(), HasSubstr("not public")) << url;
  }
  EXPECT_EQ(code("file:///etc/passwd"), StatusCode::kInvalidArgument);
  EXPECT_EQ(code("gopher://127.0.0.1/"), StatusCode::kInvalidArgument);
  options.allows = [](const sockaddr&) { return true; };
  EXPECT_EQ(FetchRemoteImage(base + "/samples/demo.png", options).value(), SampleBytes("demo.png"));
  // What the request has left counts: memory, time, and whether somebody still waits.
  size_t taken = 0;
  FetchLimits limits;
  limits.take = [&](size_t bytes) {
    taken += bytes;
    return true;
  };
  EXPECT_TRUE(FetchRemoteImage(base + "/samples/demo.png", options, limits).ok());
  EXPECT_GE(taken, SampleBytes("demo.png").size());
  limits.take = [](size_t) { return false; };
  const Status no_memory = FetchRemoteImage(base + "/samples/demo.png", options, limits).status();
  EXPECT_TRUE(IsOutOfMemory(no_memory)) << no_memory.message();
  limits = {};
  limits.stop = [] { return true; };
  EXPECT_EQ(FetchRemoteImage(base + "/samples/demo.png", options, limits).status().code(),
            StatusCode::kCancelled);
  EXPECT_EQ(code(base + "/nothing"), StatusCode::kInvalidArgument);
  options.max_bytes = 100;
  EXPECT_EQ(code(base + "/samples/demo.png"), StatusCode::kResourceExhausted);
}

TEST(RemoteImage, ARedirectToAPrivateAddressIsRefused) {
  Web open;
  Web hidden;
  open.MoveTo(open.Url("/demo.png"));
  EXPECT_FALSE(Load(open, open.Url("/moved")).has_value());  // redirects as such are followed
  EXPECT_EQ(open.visits, 2);
  const std::string hidden_port = std::to_string(hidden.port());
  for (const std::string& location :
       {hidden.Url("/demo.png"), "http://localhost:" + hidden_port + "/demo.png",
        "//127.0.0.1:" + hidden_port + "/demo.png", "http://[::1]:" + hidden_port + "/demo.png",
        std::string("http://169.254.169.254/latest/meta-data/")}) {
    open.MoveTo(location);
    const std::optional<ApiError> error = Load(open, open.Url("/moved"));
    ASSERT_TRUE(error.has_value()) << location;
    EXPECT_EQ(error->status, 400) << location;
    EXPECT_THAT(error->message, HasSubstr("not public")) << location;
  }
  EXPECT_EQ(hidden.visits, 0);
}

TEST(RemoteImage, RedirectsAreLimitedAndStayWithHttp) {
  Web open;
  open.MoveTo("/moved");
  EXPECT_EQ(Load(open, open.Url("/moved")).value().status, 400);
  EXPECT_EQ(open.visits, 1 + RemoteImageOptions().max_redirects);
  for (const char* location : {"file:///etc/passwd", "ftp://127.0.0.1/a", "gopher://127.0.0.1/"}) {
    open.MoveTo(location);
    EXPECT_EQ(Load(open, open.Url("/moved")).value().status, 400) << location;
  }
}

}  // namespace
}  // namespace fastvlm
