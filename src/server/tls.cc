#include "server/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <array>

namespace fastvlm {
namespace {

std::string LastError() {
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_get_error(), text.data(), text.size());
  ERR_clear_error();
  return text.data();
}

}  // namespace

void SslContextDeleter::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }
void SslDeleter::operator()(ssl_st* ssl) const { SSL_free(ssl); }

Result<std::unique_ptr<TlsContext>> TlsContext::Load(const std::string& certificate,
                                                     const std::string& key) {
  std::unique_ptr<TlsContext> result(new TlsContext(SSL_CTX_new(TLS_server_method())));
  SSL_CTX* context = result->context_.get();
  if (context == nullptr) {
    return Error(StatusCode::kIoError, "OpenSSL cannot be used: {}", LastError());
  }
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1) {
    return Error(StatusCode::kDataError, "{}: no certificate in PEM can be read: {}", certificate,
                 LastError());
  }
  if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return Error(StatusCode::kDataError, "{}: no private key in PEM can be read: {}", key,
                 LastError());
  }
  if (SSL_CTX_check_private_key(context) != 1) {
    return Error(StatusCode::kDataError, "{} is not the key of the certificate {}", key,
                 certificate);
  }
  return result;
}

SslPointer TlsContext::Attach(int socket) const {
  SslPointer ssl(SSL_new(context_.get()));
  if (ssl == nullptr || SSL_set_fd(ssl.get(), socket) != 1) return nullptr;
  SSL_set_accept_state(ssl.get());
  return ssl;
}

}  // namespace fastvlm
