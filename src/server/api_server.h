// Between HTTP and the routes: who may do what, bodies and their limits, headers, errors, the log.
#ifndef FASTVLM_SERVER_API_SERVER_H_
#define FASTVLM_SERVER_API_SERVER_H_

#include <optional>
#include <string>

#include "server/http_server.h"
#include "server/routes/routes.h"
#include "server/server.h"

namespace fastvlm {

class ApiServer final : public HttpServer {
 public:
  ApiServer(Engine& engine, const ServerOptions& options);

  std::string url() const;
  void RunUntilDrained();

 private:
  // What stands against a request before its body has been read.
  std::optional<ApiError> Check(const httplib::Request& request, const Route* route,
                                uint64_t* key) const;
  std::optional<ApiError> CheckBody(const httplib::Request& request, const Route& route) const;
  // True if the request has been answered; else its body is to be read.
  bool BeforeBody(const httplib::Request& request, httplib::Response& response);
  void WithBody(const Route& route, const httplib::Request& request, httplib::Response& response,
                const httplib::ContentReader& reader);
  std::optional<ApiError> ReadBody(const httplib::Request& request,
                                   const httplib::ContentReader& reader, Exchange& exchange) const;
  void AddHeaders(const httplib::Request& request, httplib::Response& response) const;
  void Log(const httplib::Request& request, const httplib::Response& response);
  void Log(const std::string& what, int status, const RequestRecord& record) const;
  std::string Refuse(const HttpProblem& problem, const Connection& connection) override;

  const ServerOptions options_;
  ServerContext context_;
};

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_API_SERVER_H_
