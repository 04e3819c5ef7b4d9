// The server's side of TLS, over OpenSSL.
#ifndef FASTVLM_SERVER_TLS_H_
#define FASTVLM_SERVER_TLS_H_

#include <memory>
#include <string>

#include "base/status.h"

struct ssl_ctx_st;
struct ssl_st;

namespace fastvlm {

struct SslContextDeleter {
  void operator()(ssl_ctx_st* context) const;
};
struct SslDeleter {
  void operator()(ssl_st* ssl) const;
};
using SslPointer = std::unique_ptr<ssl_st, SslDeleter>;

// Certificate and key of a server; TLS 1.2 and later. Thread-safe.
class TlsContext {
 public:
  // Reads PEM files: the certificate, followed by those that signed it, and its key without a
  // password.
  static Result<std::unique_ptr<TlsContext>> Load(const std::string& certificate,
                                                  const std::string& key);

  // The server's end of a connection over a non-blocking socket; null if memory is short.
  SslPointer Attach(int socket) const;

 private:
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  std::unique_ptr<ssl_ctx_st, SslContextDeleter> context_;
};

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_TLS_H_
