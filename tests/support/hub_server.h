// A Hugging Face hub in this process, and the troubles a network makes.
#ifndef FASTVLM_TESTS_SUPPORT_HUB_SERVER_H_
#define FASTVLM_TESTS_SUPPORT_HUB_SERVER_H_

#include <httplib.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "hub/digest.h"

namespace fastvlm {

struct SeenRequest {
  std::string path;
  std::string range;
  std::string if_range;
  std::string authorization;
};

// Serves repository owner/model at every revision, and each file at /cdn/NAME too. Only atomic
// fields may be set while another thread makes requests.
class HubServer {
 public:
  HubServer() {
    signal(SIGPIPE, SIG_IGN);
    server_.set_keep_alive_max_count(1);
    server_.Get(R"(/api/models/owner/model/revision/([^/]+))",
                [this](const auto& request, auto& response) { List(request, response); });
    server_.Get(R"(/owner/model/resolve/([^/]+)/(.+))",
                [this](const auto& request, auto& response) { Resolve(request, response); });
    server_.Get(R"(/cdn/(.+))", [this](const auto& request, auto& response) {
      if (Note(request, response)) Send(request.matches[1], request, response);
    });
    port_ = server_.bind_to_any_port("127.0.0.1");
    FASTVLM_CHECK(port_ > 0);
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
  }
  ~HubServer() {
    Release();
    server_.stop();
    thread_.join();
  }
  HubServer(const HubServer&) = delete;
  HubServer& operator=(const HubServer&) = delete;

  void Release() {
    const std::lock_guard lock(mutex_);
    released_ = true;
    news_.notify_all();
  }

  std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(port_); }

  // `large` files have a SHA-256 in the listing, others git's SHA-1.
  void Add(const std::string& name, std::string contents, bool large = false) {
    files_[name] = {std::move(contents), large};
  }
  const std::string& Contents(const std::string& name) const { return files_.at(name).contents; }

  std::vector<SeenRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  std::vector<SeenRequest> RequestsOf(const std::string& part) const {
    std::vector<SeenRequest> found;
    for (const SeenRequest& request : requests()) {
      if (request.path.find(part) != std::string::npos) found.push_back(request);
    }
    return found;
  }
  void Forget() {
    const std::lock_guard lock(mutex_);
    requests_.clear();
  }

  std::string commit = std::string(40, 'a');
  std::string redirect;          // "http://host:port" that files are redirected to
  std::string token;             // that every request but those of /cdn must have
  std::string etag = "\"one\"";  // "" for none
  std::string listing;           // instead of the true one
  std::map<std::string, std::string> sent_instead;  // other contents than the listing is about
  bool ranges = true;
  std::atomic<int> drops{0};          // so many more answers end half way
  std::atomic<size_t> drop_after{0};  // bytes of each of those
  std::atomic<int> refusals{0};       // so many more requests get refusal_status
  std::atomic<int> refusal_status{503};
  std::atomic<int> holds{0};          // so many more answers stand still half way until Release,
  std::atomic<size_t> hold_after{0};  // after so many bytes of each; shorter ones do not count

 private:
  struct File {
    std::string contents;
    bool large;
  };

  // False if the request was refused.
  bool Note(const httplib::Request& request, httplib::Response& response) {
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back({request.path, request.get_header_value("Range"),
                           request.get_header_value("If-Range"),
                           request.get_header_value("Authorization")});
    }
    if (refusals > 0) {
      --refusals;
      response.status = refusal_status;
      response.set_header("Retry-After", "0");
      response.set_content("{\"error\":\"the server said no\"}", "application/json");
      return false;
    }
    if (!token.empty() && !request.path.starts_with("/cdn") &&
        request.get_header_value("Authorization") != "Bearer " + token) {
      response.status = 401;
      response.set_content("Invalid username or password.", "text/plain");
      return false;
    }
    return true;
  }

  void List(const httplib::Request& request, httplib::Response& response) {
    if (!Note(request, response)) return;
    nlohmann::json siblings = nlohmann::json::array();
    for (const auto& [name, file] : files_) {
      const auto hash = [&, &contents = file.contents](DigestKind kind) {
        Digest digest(kind, static_cast<int64_t>(contents.size()));
        digest.Update({reinterpret_cast<const uint8_t*>(contents.data()), contents.size()});
        return digest.Hex();
      };
      nlohmann::json entry = {{"rfilename", name},
                              {"size", file.contents.size()},
                              {"blobId", hash(DigestKind::kGitBlob)}};
      if (file.large) {
        entry["lfs"] = {{"sha256", hash(DigestKind::kSha256)},
                        {"size", file.contents.size()},
                        {"pointerSize", 135}};
      }
      siblings.push_back(std::move(entry));
    }
    const nlohmann::json answer = {{"id", "owner/model"},
                                   {"sha", commit},
                                   {"gated", false},
                                   {"cardData", {{"license", "test-licence"}}},
                                   {"siblings", siblings}};
    response.set_content(listing.empty() ? answer.dump() : listing, "application/json");
  }

  void Resolve(const httplib::Request& request, httplib::Response& response) {
    if (!Note(request, response)) return;
    const std::string name = request.matches[2];
    if (!redirect.empty() && files_.contains(name) && files_.at(name).large) {
      response.set_redirect(redirect + "/cdn/" + name, 302);
      return;
    }
    Send(name, request, response);
  }

  void Send(const std::string& name, const httplib::Request& request, httplib::Response& response) {
    if (!files_.contains(name)) {
      response.status = 404;
      response.set_content("Entry not found", "text/plain");
      return;
    }
    // A copy: a client that hangs up early is past its request while this one still sends.
    std::string contents =
        sent_instead.contains(name) ? sent_instead.at(name) : files_.at(name).contents;
    const size_t size = contents.size();
    if (!etag.empty()) response.set_header("ETag", etag);
    const std::string if_range = request.get_header_value("If-Range");
    if (!ranges || (!if_range.empty() && if_range != etag)) {
      const_cast<httplib::Request&>(request).ranges.clear();
    }
    if (contents.empty()) return response.set_content("", "application/octet-stream");
    const auto take = [](std::atomic<int>& left) { return left > 0 && left-- > 0; };
    const bool drop = take(drops), hold = size > hold_after && take(holds);
    response.set_content_provider(
        size, "application/octet-stream",
        [this, contents = std::move(contents), drop, hold, sent = size_t{0}](
            size_t offset, size_t length, httplib::DataSink& sink) mutable {
          size_t bytes = std::min(length, size_t{64} << 10);
          if (drop) bytes = std::min(bytes, drop_after - std::min(sent, drop_after.load()));
          if (hold && sent < hold_after) bytes = std::min(bytes, hold_after - sent);
          if (hold && sent >= hold_after) {
            std::unique_lock lock(mutex_);
            news_.wait(lock, [this] { return released_; });
          }
          sent += bytes;
          return bytes > 0 && sink.write(contents.data() + offset, bytes);
        });
  }

  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
  std::map<std::string, File> files_;
  mutable std::mutex mutex_;
  std::condition_variable news_;
  bool released_ = false;
  std::vector<SeenRequest> requests_;
};

}  // namespace fastvlm

#endif  // FASTVLM_TESTS_SUPPORT_HUB_SERVER_H_
