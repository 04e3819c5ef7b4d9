#include "server/http_server.h"

#include <errno.h>
#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <string_view>
#include <system_error>
#include <thread>

namespace fastvlm {
namespace {

constexpr int kBacklog = 128;

constexpr std::string_view kFull =
    "HTTP/1.1 503 Service Unavailable\r\n"
    "Content-Type: application/json\r\nRetry-After: 2\r\nConnection: close\r\n"
    "Content-Length: 92\r\n\r\n"
    R"({"error":{"message":"Too many connections.","type":"server_error","param":null,"code":null}})";

// A socket that listens, or -1 with errno set.
int ListenOn(const addrinfo& address) {
  const int listener = socket(address.ai_family, address.ai_socktype | SOCK_CLOEXEC, 0);
  if (listener < 0) return -1;
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(listener, address.ai_addr, address.ai_addrlen) == 0 && listen(listener, kBacklog) == 0) {
    return listener;
  }
  const int error = errno;
  close(listener);
  errno = error;
  return -1;
}

int PortOf(int listener) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port
                                             : reinterpret_cast<sockaddr_in*>(&address)->sin_port);
}

const char* ReasonOf(int status) {
  switch (status) {
    case 431:
      return "Request Header Fields Too Large";
    case 501:
      return "Not Implemented";
    default:
      return "Bad Request";
  }
}

}  // namespace

HttpServer::HttpServer(const HttpServerOptions& options)
    : options_(options), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  // A client that goes away is an error of write, not the end of the program.
  signal(SIGPIPE, SIG_IGN);
  // Answers say these two in their header Keep-Alive.
  set_keep_alive_timeout(static_cast<time_t>(options_.connection.idle_timeout_ms / 1000));
  set_keep_alive_max_count(1000);
}

HttpServer::~HttpServer() {
  if (listener_ >= 0) close(listener_);
  close(wake_);
}

Status HttpServer::Listen() {
  if (!options_.tls_cert.empty()) {
    FASTVLM_ASSIGN_OR_RETURN(tls_, TlsContext::Load(options_.tls_cert, options_.tls_key));
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* addresses = nullptr;
  const std::string port = std::to_string(options_.port);
  const int problem = getaddrinfo(options_.host.c_str(), port.c_str(), &hints, &addresses);
  if (problem != 0) {
    return Error(StatusCode::kIoError, "{}: no address of this machine: {}", options_.host,
                 gai_strerror(problem));
  }
  for (const addrinfo* at = addresses; at != nullptr && listener_ < 0; at = at->ai_next) {
    listener_ = ListenOn(*at);
  }
  const int error = errno;
  freeaddrinfo(addresses);
  if (listener_ < 0) {
    return Error(StatusCode::kIoError, "cannot listen on {}, port {}: {}{}", options_.host,
                 options_.port, std::generic_category().message(error),
                 error == EADDRINUSE ? "; end the other program or choose another --port" : "");
  }
  port_ = PortOf(listener_);
  // httplib breaks answers off when it has no socket to listen on, so it is told of ours.
  svr_sock_ = listener_;
  return {};
}

void HttpServer::Run(const std::function<void()>& drain) {
  while (!stopping_.load()) Accept();
  close(listener_);
  listener_ = -1;
  drain();
  std::unique_lock lock(mutex_);
  all_ended_.wait(lock, [this] { return connections_.load() == 0; });
}

void HttpServer::Stop() {
  stopping_.store(true);
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t put = write(wake_, &one, sizeof(one));
}

// Waits for one connection and gives it a thread.
void HttpServer::Accept() {
  pollfd wanted[2] = {{listener_, POLLIN, 0}, {wake_, POLLIN, 0}};
  if (poll(wanted, 2, -1) <= 0 || wanted[0].revents == 0) return;
  const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (client < 0) {
    // Out of file descriptors or memory: connections have to end first.
    if (errno != ECONNABORTED && errno != EINTR) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return;
  }
  if (connections_.load() >= options_.max_connections) {
    if (tls_ == nullptr) send(client, kFull.data(), kFull.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    close(client);
    return;
  }
  connections_.fetch_add(1);
  try {
    std::thread([this, client] { Serve(client); }).detach();
  } catch (const std::system_error&) {  // no more threads
    connections_.fetch_sub(1);
    close(client);
  }
}

template <typename Self>
bool HttpServer::Process(Self& self, Connection& connection, bool last, bool& closed_by_client,
                         const Setup& setup) {
  if constexpr (requires { self.process_request(connection, last, closed_by_client, setup); }) {
    return self.process_request(connection, last, closed_by_client, setup);
  } else {
    std::string remote, local;
    int remote_port = 0, local_port = 0;
    connection.get_remote_ip_and_port(remote, remote_port);
    connection.get_local_ip_and_port(local, local_port);
    return self.process_request(connection, remote, remote_port, local, local_port, last,
                                closed_by_client, setup);
  }
}

void HttpServer::AnswerRefused(Connection& connection) {
  const HttpProblem& problem = connection.problem();
  const std::string body = Refuse(problem, connection);
  const std::string answer = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: application/json\r\nConnection: close\r\n"
      "Content-Length: {}\r\n\r\n{}",
      problem.status, ReasonOf(problem.status), body.size(), body);
  connection.write(answer.data(), answer.size());
}

void HttpServer::Serve(int socket) {
  {
    Connection connection(socket, tls_.get(), options_.connection, stopping_);
    bool parsed = false;
    const Setup setup = [&parsed](httplib::Request& request) {
      parsed = true;
      // The server offers no parts of an answer, and no compression, which would hold streams back.
      request.ranges.clear();
      request.headers.erase("Range");
      request.headers.erase("Accept-Encoding");
    };
    bool open = connection.Handshake();
    while (open && connection.WaitForRequest()) {
      if (!connection.ReadHead()) {
        if (connection.problem().status != 0) AnswerRefused(connection);
        connection.Linger();
        break;
      }
      bool closed_by_client = false;
      parsed = false;  // a request that is not understood has no end at which the next one begins
      const bool last = stopping_.load();
      open = Process(*this, connection, last, closed_by_client, setup) && !closed_by_client &&
             !last && parsed && !connection.closes();
      if (!open) connection.Linger();
    }
  }
  const std::lock_guard lock(mutex_);
  if (connections_.fetch_sub(1) == 1) all_ended_.notify_all();
}

}  // namespace fastvlm
