#include "server/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>

namespace fastvlm {
namespace {

using std::chrono::milliseconds;

constexpr ssize_t kAgain = -2;
// A wait looks this often whether the server stops.
constexpr milliseconds kLook(100);
constexpr milliseconds kLinger(500);
constexpr ssize_t kLingerBytes = 16 << 20;
constexpr double kHandshakeMs = 10'000;

thread_local Connection* current = nullptr;

Connection::Clock::time_point After(double ms) {
  return Connection::Clock::now() + std::chrono::microseconds(static_cast<int64_t>(ms * 1000));
}

void Name(int socket, int (*name)(int, sockaddr*, socklen_t*), std::string& ip, int& port) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  std::array<char, NI_MAXHOST> host{};
  port = 0;
  if (name(socket, reinterpret_cast<sockaddr*>(&address), &length) != 0) return;
  if (getnameinfo(reinterpret_cast<sockaddr*>(&address), length, host.data(), host.size(), nullptr,
                  0, NI_NUMERICHOST) != 0) {
    return;
  }
  ip = host.data();
  if (address.ss_family == AF_INET) {
    port = ntohs(reinterpret_cast<sockaddr_in*>(&address)->sin_port);
  } else if (address.ss_family == AF_INET6) {
    port = ntohs(reinterpret_cast<sockaddr_in6*>(&address)->sin6_port);
  }
}

}  // namespace

Connection::Connection(int socket, const TlsContext* tls, const ConnectionLimits& limits,
                       const std::atomic<bool>& stopping)
    : socket_(socket), limits_(limits), stopping_(stopping), reader_(limits.max_head_bytes) {
  fcntl(socket_, F_SETFL, fcntl(socket_, F_GETFL) | O_NONBLOCK);
  const int on = 1;  // each token is sent at once
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (tls != nullptr) ssl_ = tls->Attach(socket_);
  close_ = tls != nullptr && ssl_ == nullptr;
  current = this;
}

Connection::~Connection() {
  if (ssl_ != nullptr && SSL_is_init_finished(ssl_.get())) SSL_shutdown(ssl_.get());
  ERR_clear_error();
  close(socket_);
  current = nullptr;
}

Connection* Connection::Current() { return current; }

bool Connection::Wait(Direction direction, Clock::time_point deadline) const {
  pollfd wanted{socket_, static_cast<short>(direction == Direction::kRead ? POLLIN : POLLOUT), 0};
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    const int ready = poll(&wanted, 1, static_cast<int>(std::min<int64_t>(left, 60'000)));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

bool Connection::Handshake() {
  if (ssl_ == nullptr) return !close_;
  const Clock::time_point deadline = After(kHandshakeMs);
  while (true) {
    ERR_clear_error();
    const int result = SSL_accept(ssl_.get());
    if (result == 1) return true;
    const int error = SSL_get_error(ssl_.get(), result);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return false;
    if (!Wait(error == SSL_ERROR_WANT_READ ? Direction::kRead : Direction::kWrite, deadline)) {
      return false;
    }
  }
}

bool Connection::WaitForRequest() {
  if (close_) return false;
  given_ = 0;
  reader_.Begin();
  const Clock::time_point deadline = After(limits_.idle_timeout_ms);
  while (!reader_.has_input() && !reader_.head_complete() && problem().status == 0 &&
         (ssl_ == nullptr || SSL_pending(ssl_.get()) == 0)) {
    if (stopping_.load() || Clock::now() > deadline) return false;
    if (Wait(Direction::kRead, std::min(deadline, Clock::now() + kLook))) break;
  }
  request_start_ = Clock::now();
  request_bytes_ = 0;
  record_ = RequestRecord();
  return true;
}

bool Connection::ReadHead() {
  while (!reader_.head_complete() && problem().status == 0) {
    if (!Fill()) return false;
  }
  return problem().status == 0;
}

bool Connection::ClientGone() const {
  pollfd closed{socket_, POLLRDHUP, 0};
  return poll(&closed, 1, 0) > 0 && (closed.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

void Connection::Linger() {
  if (ssl_ != nullptr && SSL_is_init_finished(ssl_.get())) SSL_shutdown(ssl_.get());
  shutdown(socket_, SHUT_WR);
  const Clock::time_point deadline = Clock::now() + kLinger;
  for (ssize_t bytes = 0; bytes < kLingerBytes && Wait(Direction::kRead, deadline);) {
    const ssize_t got = recv(socket_, buffer_.data(), buffer_.size(), 0);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return;
    bytes += std::max<ssize_t>(got, 0);
  }
}

Connection::Clock::time_point Connection::ReadDeadline() const {
  const double ms = limits_.request_timeout_ms +
                    static_cast<double>(request_bytes_) * 1000 / limits_.min_bytes_per_s;
  return request_start_ + std::chrono::microseconds(static_cast<int64_t>(ms * 1000));
}

ssize_t Connection::TryRead(char* data, size_t size, Direction* wanted) {
  *wanted = Direction::kRead;
  if (ssl_ == nullptr) {
    const ssize_t got = recv(socket_, data, size, 0);
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? kAgain : got;
  }
  ERR_clear_error();
  const int got = SSL_read(ssl_.get(), data, static_cast<int>(size));
  if (got > 0) return got;
  const int error = SSL_get_error(ssl_.get(), got);
  if (error == SSL_ERROR_ZERO_RETURN) return 0;
  if (error == SSL_ERROR_WANT_WRITE) *wanted = Direction::kWrite;
  return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? kAgain : -1;
}

ssize_t Connection::TryWrite(const char* data, size_t size, Direction* wanted) {
  *wanted = Direction::kWrite;
  if (ssl_ == nullptr) {
    const ssize_t put = send(socket_, data, size, MSG_NOSIGNAL);
    return put < 0 && (errno == EAGAIN || errno == EINTR) ? kAgain : put;
  }
  ERR_clear_error();
  const size_t most = std::min(size, size_t{std::numeric_limits<int>::max()});
  const int put = SSL_write(ssl_.get(), data, static_cast<int>(most));
  if (put > 0) return put;
  const int error = SSL_get_error(ssl_.get(), put);
  if (error == SSL_ERROR_WANT_READ) *wanted = Direction::kRead;
  return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? kAgain : -1;
}

bool Connection::is_readable() const {
  return given_ < reader_.plain().size() || reader_.complete() ||
         Wait(Direction::kRead, ReadDeadline());
}

bool Connection::is_writable() const { return !ClientGone(); }

bool Connection::Fill() {
  Direction wanted = Direction::kRead;
  ssize_t got = kAgain;
  while (got == kAgain) {
    const Clock::time_point deadline = ReadDeadline();
    if (Clock::now() > deadline) return false;
    got = TryRead(buffer_.data(), buffer_.size(), &wanted);
    // A request that is still being sent when the server stops is not waited for.
    if (got == kAgain && stopping_.load()) return false;
    if (got == kAgain) Wait(wanted, std::min(deadline, Clock::now() + kLook));
  }
  if (got <= 0) return false;
  request_bytes_ += got;
  reader_.Put({buffer_.data(), static_cast<size_t>(got)});
  return true;
}

ssize_t Connection::read(char* data, size_t size) {
  std::string& plain = reader_.plain();
  while (given_ == plain.size()) {
    if (problem().status != 0) return -1;
    if (reader_.complete()) return 0;
    plain.clear();
    given_ = 0;
    if (!Fill()) return -1;
  }
  const size_t count = std::min(size, plain.size() - given_);
  std::memcpy(data, plain.data() + given_, count);
  given_ += count;
  return static_cast<ssize_t>(count);
}

ssize_t Connection::write(const char* data, size_t size) {
  const Clock::time_point deadline = After(limits_.write_timeout_ms);
  size_t done = 0;
  while (done < size) {
    Direction wanted = Direction::kWrite;
    const ssize_t put = TryWrite(data + done, size - done, &wanted);
    if (put == kAgain) {
      if (!Wait(wanted, deadline)) return -1;
    } else if (put <= 0) {
      return -1;
    } else {
      done += static_cast<size_t>(put);
    }
  }
  return static_cast<ssize_t>(done);
}

void Connection::get_remote_ip_and_port(std::string& ip, int& port) const {
  Name(socket_, getpeername, ip, port);
}

void Connection::get_local_ip_and_port(std::string& ip, int& port) const {
  Name(socket_, getsockname, ip, port);
}

}  // namespace fastvlm
