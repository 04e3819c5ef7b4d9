#include "server/server.h"

#include <fmt/format.h>

#include <utility>

#include "server/api_server.h"

namespace fastvlm {

struct Server::Impl {
  Impl(Engine& engine, const ServerOptions& options) : server(engine, options) {}
  ApiServer server;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::Create(Engine& engine, const ServerOptions& options) {
  if (options.tls_cert.empty() != options.tls_key.empty()) {
    return Error(StatusCode::kInvalidArgument, "TLS needs both a certificate and its key");
  }
  if (options.max_connections < 1 || options.max_connections > 900) {
    return Error(StatusCode::kInvalidArgument, "max_connections is {}, expected 1 to 900",
                 options.max_connections);
  }
  for (const std::string& key : options.api_keys) {
    if (key.empty()) return Error(StatusCode::kInvalidArgument, "an API key is empty");
  }
  auto impl = std::make_unique<Impl>(engine, options);
  FASTVLM_RETURN_IF_ERROR(impl->server.Listen());
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

int Server::port() const { return impl_->server.port(); }
std::string Server::url() const { return impl_->server.url(); }
void Server::Run() { impl_->server.RunUntilDrained(); }
void Server::Stop() { impl_->server.Stop(); }

}  // namespace fastvlm
