#include "hub/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <memory>
#include <string_view>
#include <thread>

#include "base/check.h"
#include "base/printable.h"
#include "base/url.h"

namespace fastvlm {
namespace {

constexpr long kMaxRedirects = 10;
constexpr size_t kMaxErrorBody = 4096;
constexpr const char* kUserAgent = "fastvlm.cpp";

struct CurlFree {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

std::string_view Strip(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

int64_t Number(std::string_view text) {
  int64_t number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number >= 0 ? number : -1;
}

bool EqualNoCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

// One transfer and what its callbacks have seen.
struct Transfer {
  const HttpOptions& options;
  const HttpBeginFn& begin;
  const HttpDataFn& data;
  HttpResponse response;
  std::string last_modified;
  std::string error_body;
  Status status;  // of the callbacks
  bool begun = false;

  bool ok() const { return response.status >= 200 && response.status < 300; }

  bool Begin() {
    if (!begun) {
      begun = true;
      if (response.validator.empty()) response.validator = last_modified;
      status = begin(response);
    }
    return status.ok();
  }
};

// "bytes 100-199/1000"
void ReadContentRange(std::string_view value, HttpResponse* response) {
  if (!value.starts_with("bytes ")) return;
  value.remove_prefix(6);
  const size_t dash = value.find('-');
  const size_t slash = value.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos) return;
  response->range_start = Number(value.substr(0, dash));
  response->range_total = Number(value.substr(slash + 1));
}

size_t OnHeader(char* text, size_t, size_t bytes, void* user) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  const std::string_view line(text, bytes);
  if (line.starts_with("HTTP/")) {  // of a response to the request or to a redirected one
    transfer.response = HttpResponse();
    transfer.last_modified.clear();
    const size_t space = line.find(' ');
    if (space != std::string_view::npos) {
      transfer.response.status = static_cast<int>(Number(line.substr(space + 1, 3)));
    }
    return bytes;
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return bytes;
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = Strip(line.substr(colon + 1));
  HttpResponse& response = transfer.response;
  if (EqualNoCase(name, "content-length")) response.length = Number(value);
  if (EqualNoCase(name, "content-range")) ReadContentRange(value, &response);
  if (EqualNoCase(name, "etag") && value.starts_with('"')) response.validator = value;
  if (EqualNoCase(name, "last-modified")) transfer.last_modified = value;
  if (EqualNoCase(name, "retry-after")) {
    response.retry_after_s = static_cast<int>(std::min<int64_t>(Number(value), 1 << 20));
  }
  return bytes;
}

size_t OnData(char* text, size_t, size_t bytes, void* user) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  if (!transfer.ok()) {
    const size_t room = kMaxErrorBody - transfer.error_body.size();
    transfer.error_body.append(text, std::min(room, bytes));
    return bytes;
  }
  if (!transfer.Begin()) return 0;
  transfer.status = transfer.data({reinterpret_cast<const uint8_t*>(text), bytes});
  return transfer.status.ok() ? bytes : 0;
}

int OnProgress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const Transfer& transfer = *static_cast<const Transfer*>(user);
  return transfer.options.stop && transfer.options.stop() ? 1 : 0;
}

bool IsConnectError(CURLcode code) {
  return code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_RESOLVE_PROXY ||
         code == CURLE_COULDNT_CONNECT;
}

Status ResponseError(const std::string& url, const Transfer& transfer) {
  const int status = transfer.response.status;
  const std::string_view body = Strip(transfer.error_body);
  // Most servers answer with a page of HTML, which tells nobody anything.
  const std::string said = body.empty() || body.front() == '<' ? "" : ": " + Printable(body);
  if (status == 401 || status == 403) {
    return Error(
        StatusCode::kIoError,
        "{}: the server refuses with HTTP {}{}; the model does not exist, or is private or "
        "needs its terms to be accepted on its page: check the name, and set HF_TOKEN to "
        "a token that may read it",
        url, status, said);
  }
  if (status == 404 || status == 410) {
    return Error(StatusCode::kNotFound, "{}: not there (HTTP {}){}; check the name", url, status,
                 said);
  }
  if (status == 429) {
    return Error(StatusCode::kIoError,
                 "{}: too many requests (HTTP 429); wait a while and run this again, it goes on "
                 "where it stopped",
                 url);
  }
  return Error(StatusCode::kIoError, "{}: the server answers with HTTP {}{}", url, status, said);
}

Status TransferError(const std::string& url, CURLcode code, const char* detail) {
  const std::string_view text = *detail != '\0' ? detail : curl_easy_strerror(code);
  if (IsConnectError(code)) {
    return Error(StatusCode::kIoError,
                 "{}: cannot connect: {}; is this machine online? HF_ENDPOINT names a mirror, "
                 "https_proxy a proxy",
                 url, text);
  }
  return Error(StatusCode::kIoError, "{}: {}; run this again, it goes on where it stopped", url,
               text);
}

bool MayRetry(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return true;
    default:
      return false;
  }
}

bool MayRetry(int status) { return status == 408 || status == 429 || status >= 500; }

void GlobalInit() {
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  FASTVLM_CHECK(code == CURLE_OK);
}

void SetOptions(CURL* curl, const HttpRequest& request, curl_slist* headers, Transfer* transfer,
                char* error) {
  const HttpOptions& options = transfer->options;
  // Never from TLS to plain text, and never to a local file.
  const char* redirects = request.url.starts_with("https://") ? "https" : "http,https";
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, redirects);
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);  // of a redirect
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, kMaxRedirects);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, kUserAgent);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);  // a proxy's
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, long{options.connect_timeout_ms});
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, long{options.stall_timeout_s});
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, OnHeader);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, transfer);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, OnData);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, OnProgress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  // libcurl sends a bearer token to the first host only, unlike a header of our own in old
  // versions.
  if (!request.token.empty()) {
    curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, request.token.c_str());
  }
}

}  // namespace

HttpOutcome HttpGet(const HttpRequest& request, const HttpOptions& options,
                    const HttpBeginFn& begin, const HttpDataFn& data) {
  HttpOutcome outcome;
  outcome.status = CheckUrl(request.url);
  if (!outcome.status.ok()) return outcome;
  GlobalInit();
  const std::unique_ptr<CURL, CurlFree> curl(curl_easy_init());
  FASTVLM_CHECK(curl != nullptr);
  std::unique_ptr<curl_slist, CurlFree> headers;
  for (const std::string& header : request.headers) {
    curl_slist* longer = curl_slist_append(headers.get(), header.c_str());
    FASTVLM_CHECK(longer != nullptr);
    if (headers == nullptr) headers.reset(longer);  // else the list still begins at the same item
  }
  Transfer transfer{options, begin, data, {}, {}, {}, {}, false};
  char detail[CURL_ERROR_SIZE] = "";
  SetOptions(curl.get(), request, headers.get(), &transfer, detail);
  const CURLcode code = curl_easy_perform(curl.get());

  if (code == CURLE_OK && transfer.ok()) transfer.Begin();  // of an empty body
  outcome.response = transfer.response;
  outcome.connected = transfer.response.status != 0;
  if (!transfer.status.ok()) {
    outcome.status = transfer.status;
  } else if (code == CURLE_ABORTED_BY_CALLBACK) {
    outcome.status = Status(StatusCode::kCancelled, request.url + ": stopped");
  } else if (code != CURLE_OK) {
    outcome.status = TransferError(request.url, code, detail);
    outcome.may_retry = MayRetry(code);
  } else if (!transfer.ok()) {
    outcome.status = ResponseError(request.url, transfer);
    outcome.may_retry = MayRetry(transfer.response.status);
  }
  return outcome;
}

bool Backoff::Wait(const HttpOutcome& outcome) {
  if (!outcome.may_retry || failures_ >= options_.retries) return false;
  int64_t wait_ms = int64_t{options_.retry_delay_ms} << failures_;
  if (outcome.response.retry_after_s >= 0) {
    wait_ms = std::max<int64_t>(wait_ms, int64_t{outcome.response.retry_after_s} * 1000);
  }
  wait_ms = std::min<int64_t>(wait_ms, options_.max_wait_ms);
  ++failures_;
  if (options_.note) {
    options_.note(fmt::format("{}; trying again in {:.1f} s ({} of {})", outcome.status.message(),
                              static_cast<double>(wait_ms) / 1000, failures_, options_.retries));
  }
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(wait_ms);
  while (std::chrono::steady_clock::now() < end) {
    if (options_.stop && options_.stop()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(std::min<int64_t>(wait_ms, 50)));
  }
  return true;
}

Result<std::string> FetchText(const HttpRequest& request, size_t max_bytes,
                              const HttpOptions& options) {
  Backoff backoff(options);
  while (true) {
    std::string text;
    const auto begin = [&](const HttpResponse&) {
      text.clear();
      return Status();
    };
    const auto data = [&](std::span<const uint8_t> bytes) {
      if (bytes.size() > max_bytes - text.size()) {
        return Error(StatusCode::kResourceExhausted, "{}: more than the limit of {} bytes",
                     request.url, max_bytes);
      }
      text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      return Status();
    };
    const HttpOutcome outcome = HttpGet(request, options, begin, data);
    if (outcome.status.ok()) return text;
    if (!outcome.connected || !backoff.Wait(outcome)) {
      if (options.stop && options.stop()) {
        return Status(StatusCode::kCancelled, request.url + ": stopped");
      }
      return outcome.status;
    }
  }
}

}  // namespace fastvlm
