#include "server/http_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <cstdint>
#include <iterator>
#include <limits>
#include <utility>

namespace fastvlm {
namespace {

namespace beast = boost::beast;
using BeastParser = beast::http::basic_parser<true>;

constexpr size_t kMaxChunkHead = 16 * 1024;  // the size of a chunk and its extensions; trailers

constexpr size_t kLeastChunk = 5;  // "0\r\n\r\n"

std::string_view View(beast::string_view text) { return {text.data(), text.size()}; }

// Where the head ends, behind its empty line; npos if it is not there yet.
size_t EndOfHead(std::string_view input) {
  const size_t at = input.find("\r\n\r\n");
  return at == std::string_view::npos ? at : at + 4;
}

// Beast joins the lines of a folded field, which RFC 9112 (5.2) lets a server refuse.
bool HasFoldedField(std::string_view head) {
  return head.find("\r\n ") != std::string_view::npos ||
         head.find("\r\n\t") != std::string_view::npos;
}

bool HasBareLineFeed(std::string_view head) {
  for (size_t at = head.find('\n'); at != std::string_view::npos; at = head.find('\n', at + 1)) {
    if (at == 0 || head[at - 1] != '\r') return true;
  }
  return false;
}

}  // namespace

// Writes the plain form, and looks at what Beast lets pass.
class HttpReader::Parser final : public BeastParser {
 public:
  Parser(std::string& plain, HttpProblem& problem) : plain_(plain), problem_(problem) {
    // HttpReader has limits of its own, and so has who reads the body. Beast 1.74 takes no limit of
    // the body (boost::none) for one of 0 bytes.
    header_limit(std::numeric_limits<uint32_t>::max());
    body_limit(std::numeric_limits<uint64_t>::max());
    eager(false);
  }

 private:
  using Error = beast::error_code;
  using Text = beast::string_view;

  void Refuse(int status, std::string message, Error& error) {
    problem_ = {status, std::move(message)};
    error = beast::http::error::bad_value;
  }

  void on_request_impl(beast::http::verb, Text method, Text target, int version, Error&) override {
    version_ = version;
    fmt::format_to(std::back_inserter(plain_), "{} {} HTTP/{}.{}\r\n", View(method), View(target),
                   version / 10, version % 10);
  }

  void on_response_impl(int, Text, int, Error&) override {}

  void on_field_impl(beast::http::field field, Text name, Text value, Error& error) override {
    if (is_header_done()) return;  // a trailer: nothing here needs any
    if (field == beast::http::field::host && ++hosts_ > 1) {
      return Refuse(400, "The request has two Host headers.", error);
    }
    if (field == beast::http::field::content_length &&
        (++lengths_ > 1 || value.find(',') != Text::npos)) {
      return Refuse(400, "The request has two lengths.", error);
    }
    if (field == beast::http::field::transfer_encoding) {
      if (!beast::iequals(value, "chunked")) {
        return Refuse(501, "The only Transfer-Encoding that is understood is 'chunked'.", error);
      }
      if (version_ < 11) {
        return Refuse(400, "HTTP/1.0 has no Transfer-Encoding.", error);
      }
    }
    fmt::format_to(std::back_inserter(plain_), "{}: {}\r\n", View(name), View(value));
  }

  void on_header_impl(Error& error) override {
    if (version_ >= 11 && hosts_ == 0) {
      return Refuse(400, "The request has no Host header.", error);
    }
    plain_ += "\r\n";
  }

  void on_body_init_impl(const boost::optional<uint64_t>&, Error&) override {}

  size_t on_body_impl(Text body, Error&) override {
    plain_ += View(body);
    return body.size();
  }

  void on_chunk_header_impl(uint64_t size, Text, Error&) override {
    if (size == 0) plain_ += "0\r\n\r\n";
  }

  size_t on_chunk_body_impl(uint64_t, Text body, Error&) override {
    fmt::format_to(std::back_inserter(plain_), "{:x}\r\n{}\r\n", body.size(), View(body));
    return body.size();
  }

  void on_finish_impl(Error&) override {}

  std::string& plain_;
  HttpProblem& problem_;
  int version_ = 11;
  int hosts_ = 0;
  int lengths_ = 0;
};

HttpReader::HttpReader(size_t max_head_bytes) : max_head_bytes_(max_head_bytes) { Begin(); }

HttpReader::~HttpReader() = default;

void HttpReader::Begin() {
  plain_.clear();
  problem_ = {};
  head_bytes_ = 0;
  parser_ = std::make_unique<Parser>(plain_, problem_);
  Parse();
}

void HttpReader::Put(std::string_view bytes) {
  input_ += bytes;
  Parse();
}

bool HttpReader::head_complete() const { return parser_->is_header_done(); }

bool HttpReader::complete() const { return parser_->is_done(); }

void HttpReader::Fail(int status, std::string message) {
  if (problem_.status == 0) problem_ = {status, std::move(message)};
  input_.clear();
}

// False if there is nothing to parse.
bool HttpReader::CheckHead() {
  if (!parser_->got_some()) {
    // Empty lines before a request are passed over, as RFC 9112 (2.2) asks, up to the head's limit.
    for (; input_.starts_with("\r\n"); head_bytes_ += 2) input_.erase(0, 2);
    if (input_ == "\r") return false;
  }
  const size_t here = std::min(EndOfHead(input_), input_.size());
  if (head_bytes_ + here > max_head_bytes_) {
    Fail(431, fmt::format("The headers are longer than {} bytes.", max_head_bytes_));
  } else if (HasFoldedField(std::string_view(input_).substr(0, here))) {
    Fail(400, "A header goes on in the next line.");
  } else if (HasBareLineFeed(std::string_view(input_).substr(0, here))) {
    Fail(400, "A line of the headers ends without a carriage return.");
  }
  return problem_.status == 0;
}

void HttpReader::Parse() {
  if (problem_.status != 0 || complete()) return;
  if (!head_complete() && !CheckHead()) return;
  size_t done = 0;
  while (done < input_.size() && !complete()) {
    // Beast takes for granted that it sees that many bytes at a last chunk, which is never shorter.
    if (head_complete() && parser_->chunked() && input_.size() - done < kLeastChunk) break;
    beast::error_code error;
    const bool head_was_complete = head_complete();
    const size_t used =
        parser_->put(boost::asio::buffer(input_.data() + done, input_.size() - done), error);
    done += used;
    if (!head_was_complete) head_bytes_ += used;
    if (error == beast::http::error::need_more) break;
    if (error) return Fail(400, fmt::format("This is not HTTP: {}.", error.message()));
  }
  input_.erase(0, done);
  if (head_complete() && !complete() && input_.size() > kMaxChunkHead) {
    Fail(400, "The head of a chunk, or its trailer, is too long.");
  }
}

}  // namespace fastvlm
