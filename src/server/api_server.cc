#include "server/api_server.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/printable.h"

namespace fastvlm {
namespace {

// A body is held as text, as JSON values and as the bytes of its pictures.
constexpr int64_t kBodyCopies = 3;
constexpr size_t kReserveStep = size_t{1} << 20;

HttpServerOptions HttpOptionsOf(const ServerOptions& options) {
  HttpServerOptions http;
  http.host = options.host;
  http.port = options.port;
  http.tls_cert = options.tls_cert;
  http.tls_key = options.tls_key;
  http.max_connections = options.max_connections;
  http.connection.idle_timeout_ms = options.idle_timeout_ms;
  http.connection.request_timeout_ms = options.send_timeout_ms;
  http.connection.write_timeout_ms = options.write_timeout_ms;
  return http;
}

// The path alone decides, so that requests without a route have a dialect as well.
Dialect DialectOf(std::string_view path) {
  if (path.starts_with("/api/")) return Dialect::kOllama;
  return path == "/v1/messages" || path.starts_with("/v1/messages/") ? Dialect::kAnthropic
                                                                     : Dialect::kOpenAi;
}

bool IsWord(std::string_view text, std::string_view word) {
  return text.size() == word.size() &&
         std::equal(text.begin(), text.end(), word.begin(), [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
         });
}

// "application/json" of "application/json; charset=utf-8".
std::string_view MediaType(std::string_view header) {
  header = header.substr(0, header.find(';'));
  while (header.ends_with(' ')) header.remove_suffix(1);
  return header;
}

// A browser sends JSON to another origin only if that origin allows it (CORS), so the type keeps
// foreign pages out. Ollama's documentation shows curl without a type; CheckSource alone keeps them
// out there.
bool TypeIsRight(std::string_view type, Dialect dialect) {
  if (IsWord(type, "application/json")) return true;
  return dialect == Dialect::kOllama &&
         (type.empty() || IsWord(type, "application/x-www-form-urlencoded") ||
          IsWord(type, "text/plain"));
}

ApiError NoSuchPath(const httplib::Request& request) {
  const std::string methods = MethodsOf(request.path);
  if (methods.empty()) {
    return NotFoundError(fmt::format("There is no {} here.", Quoted(request.path)));
  }
  ApiError error = BadRequest("", fmt::format("{} cannot be used with {}; use {}.",
                                              Printable(request.method), request.path, methods));
  error.status = 405;
  error.code = "method_not_allowed";
  return error;
}

ApiError HttpError(int status) {
  ApiError error =
      BadRequest("", fmt::format("The HTTP request cannot be served (status {}).", status));
  error.status = status;
  if (status >= 500) error.type = "server_error";
  return error;
}

}  // namespace

ApiServer::ApiServer(Engine& engine, const ServerOptions& options)
    : HttpServer(HttpOptionsOf(options)), options_(options), context_(engine, options_) {
  context_.connections = [this] { return connections(); };
  context_.stopping = [this] { return stopping(); };
  set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
    return BeforeBody(request, response) ? HandlerResponse::Handled : HandlerResponse::Unhandled;
  });
  for (const Route& route : Routes()) {
    if (std::string_view(route.method) != "POST") continue;  // BeforeBody answers the others
    Post(route.path, [this, &route](const httplib::Request& request, httplib::Response& response,
                                    const httplib::ContentReader& reader) {
      WithBody(route, request, response, reader);
    });
  }
  set_expect_100_continue_handler(
      [this](const httplib::Request& request, httplib::Response& response) {
        return BeforeBody(request, response) ? response.status : 100;
      });
  set_error_handler(Handler([](const httplib::Request& request, httplib::Response& response) {
    if (response.body.empty()) {
      SendError(HttpError(response.status), DialectOf(request.path), response);
    }
  }));
  set_exception_handler(
      [](const httplib::Request& request, httplib::Response& response, const std::exception_ptr&) {
        SendError(HttpError(500), DialectOf(request.path), response);
      });
  set_post_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
    AddHeaders(request, response);
  });
  set_logger([this](const httplib::Request& request, const httplib::Response& response) {
    Log(request, response);
  });
}

std::string ApiServer::url() const {
  const bool v6 = options_.host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", tls() ? "https" : "http", v6 ? "[" : "", options_.host,
                     v6 ? "]" : "", port());
}

void ApiServer::RunUntilDrained() {
  Run([this] { context_.engine.Drain(options_.drain_timeout_ms); });
}

std::optional<ApiError> ApiServer::Check(const httplib::Request& request, const Route* route,
                                         uint64_t* key) const {
  const std::string authorization = request.get_header_value("Authorization");
  const std::string x_api_key = request.get_header_value("X-Api-Key");
  const std::string host = request.get_header_value("Host");
  const std::string origin = request.get_header_value("Origin");
  const AccessHeaders headers = {authorization, x_api_key, host, origin};
  if (auto error = context_.access.CheckSource(headers)) return error;
  if (route == nullptr) return NoSuchPath(request);
  if (!route->open) {
    if (auto error = context_.access.CheckKey(headers, key)) return error;
  }
  if (stopping()) return Unavailable("The server is shutting down.");
  return std::string_view(route->method) == "POST" ? CheckBody(request, *route) : std::nullopt;
}

std::optional<ApiError> ApiServer::CheckBody(const httplib::Request& request,
                                             const Route& route) const {
  const std::string type = request.get_header_value("Content-Type");
  if (!TypeIsRight(MediaType(type), route.dialect)) {
    return UnsupportedMediaType("The body must be JSON, with 'Content-Type: application/json'.");
  }
  if (request.has_header("Content-Encoding")) {
    return UnsupportedMediaType("A compressed body is not supported.");
  }
  if (request.has_header("Transfer-Encoding"))
    return std::nullopt;  // its bytes are counted as they come
  const std::string length = request.get_header_value("Content-Length");
  size_t bytes = 0;
  const auto [end, problem] = std::from_chars(length.data(), length.data() + length.size(), bytes);
  if (problem == std::errc::result_out_of_range || bytes > options_.max_body_bytes) {
    return TooLarge(fmt::format("The body has {} bytes, more than the limit of {}.",
                                Printable(length), options_.max_body_bytes));
  }
  if (problem != std::errc() || end != length.data() + length.size()) {
    ApiError error = BadRequest("", "The request does not say how long its body is.");
    error.status = 411;
    return error;
  }
  return std::nullopt;
}

bool ApiServer::BeforeBody(const httplib::Request& request, httplib::Response& response) {
  Connection& connection = *Connection::Current();
  const bool has_body =
      request.has_header("Transfer-Encoding") ||
      (request.has_header("Content-Length") && request.get_header_value("Content-Length") != "0");
  const Route* route = FindRoute(request.method, request.path);
  if (request.method == "OPTIONS" && !MethodsOf(request.path).empty()) {
    response.status = 204;  // what pages may do is in the headers
    if (has_body) connection.CloseAfterThis();
    return true;
  }
  if (const auto error = Check(request, route, &connection.record().key)) {
    if (error->status == 405) response.set_header("Allow", MethodsOf(request.path));
    SendError(*error, DialectOf(request.path), response);
    if (has_body) connection.CloseAfterThis();  // the body is not read
    return true;
  }
  if (std::string_view(route->method) == "POST") return false;
  if (has_body) connection.CloseAfterThis();
  Exchange exchange{
      request, response, connection, std::make_shared<MemoryShare>(context_.memory), {}};
  route->handle(context_, exchange);
  return true;
}

std::optional<ApiError> ApiServer::ReadBody(const httplib::Request& request,
                                            const httplib::ContentReader& reader,
                                            Exchange& exchange) const {
  std::optional<ApiError> error;
  const std::string length = request.get_header_value("Content-Length");
  size_t announced = 0;  // stays 0 if there is no number, which Transfer-Encoding allows
  std::from_chars(length.data(), length.data() + length.size(), announced);
  size_t reserved = 0;
  const auto reserve = [&](size_t bytes) {
    const int64_t copies = static_cast<int64_t>(bytes) * kBodyCopies;
    if (!exchange.memory->Take(copies)) {
      error = NoMemory(/*alone=*/!exchange.memory->CouldTake(copies));
      return false;
    }
    reserved += bytes;
    return true;
  };
  if (!reserve(std::min(announced, options_.max_body_bytes))) return error;
  const bool complete = reader([&](const char* data, size_t size) {
    if (size > options_.max_body_bytes - exchange.body.size()) {
      error = TooLarge(
          fmt::format("The body is longer than the limit of {} bytes.", options_.max_body_bytes));
      return false;
    }
    if (exchange.body.size() + size > reserved && !reserve(std::max(size, kReserveStep))) {
      return false;
    }
    exchange.body.append(data, size);
    return true;
  });
  const HttpProblem& problem = exchange.connection.problem();
  if (!error.has_value() && problem.status != 0) {
    error = BadRequest("", problem.message);
    error->status = problem.status;
  } else if (!error.has_value() && !complete) {
    error = BadRequest("", "The body did not come, or not fast enough.");
    error->status = 408;
  }
  return error;
}

void ApiServer::WithBody(const Route& route, const httplib::Request& request,
                         httplib::Response& response, const httplib::ContentReader& reader) {
  Connection& connection = *Connection::Current();
  Exchange exchange{
      request, response, connection, std::make_shared<MemoryShare>(context_.memory), {}};
  if (const auto error = ReadBody(request, reader, exchange)) {
    connection.CloseAfterThis();
    return SendError(*error, route.dialect, response);
  }
  route.handle(context_, exchange);
}

void ApiServer::AddHeaders(const httplib::Request& request, httplib::Response& response) const {
  const auto add = [&response](const char* name, const std::string& value) {
    if (!response.has_header(name)) response.set_header(name, value);
  };
  add("X-Content-Type-Options", "nosniff");
  add("Referrer-Policy", "no-referrer");
  add("Cache-Control", "no-store");
  add("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
  if (Connection* connection = Connection::Current();
      connection != nullptr && connection->closes()) {
    response.headers.erase("Keep-Alive");
    add("Connection", "close");
  }
  const std::string origin = context_.access.AllowedOrigin(request.get_header_value("Origin"));
  if (origin.empty()) return;
  response.set_header("Access-Control-Allow-Origin", origin);
  if (origin != "*") response.set_header("Vary", "Origin");
  if (request.method != "OPTIONS") return;
  response.set_header("Access-Control-Allow-Methods", "GET, POST");
  // Clients in a page send headers of their own, such as the openai package's x-stainless-os.
  const std::string asked = request.get_header_value("Access-Control-Request-Headers");
  response.set_header("Access-Control-Allow-Headers",
                      asked.empty() ? "Authorization, Content-Type" : asked);
  response.set_header("Access-Control-Max-Age", "600");
}

void ApiServer::Log(const httplib::Request& request, const httplib::Response& response) {
  Connection* connection = Connection::Current();
  if (connection == nullptr) return;
  const RequestRecord& record = connection->record();
  const Route* route = FindRoute(request.method, request.path);
  context_.metrics.CountRequest(route == nullptr ? "other" : route->path, response.status,
                                record.since_start.Milliseconds() / 1000);
  Log(fmt::format("{} {}", request.method.empty() ? "-" : request.method,
                  request.path.empty() ? "-" : request.path),
      response.status, record);
}

void ApiServer::Log(const std::string& what, int status, const RequestRecord& record) const {
  if (!options_.log) return;
  std::string line = fmt::format("{} {}", Printable(what), status);
  if (record.prompt_tokens >= 0) {
    line += fmt::format(" {}+{} tokens", record.prompt_tokens, record.completion_tokens);
  }
  line += fmt::format(" {:.0f} ms", record.since_start.Milliseconds());
  if (!record.note.empty()) line += " (" + Printable(record.note) + ")";
  options_.log(line);
}

std::string ApiServer::Refuse(const HttpProblem& problem, const Connection& connection) {
  RequestRecord record = connection.record();
  record.note = problem.message;
  context_.metrics.CountRequest("other", problem.status, record.since_start.Milliseconds() / 1000);
  Log("- -", problem.status, record);
  ApiError error = BadRequest("", problem.message);
  error.status = problem.status;
  return OpenAiErrorBody(error);
}

}  // namespace fastvlm
