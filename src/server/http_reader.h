// Reads requests as strictly as RFC 9112 asks, with Boost.Beast's parser, and gives them on in one
// plain form. What a message is and where it ends is decided here alone: two readers that disagree
// about that, such as a proxy and httplib, let one client put words into another one's request.
#ifndef FASTVLM_SERVER_HTTP_READER_H_
#define FASTVLM_SERVER_HTTP_READER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace fastvlm {

// Why a request is not served, and its connection closed.
struct HttpProblem {
  int status = 0;  // of the answer: 400, 431 or 501; 0: nothing is wrong
  std::string message;
};

// Not thread-safe.
class HttpReader {
 public:
  explicit HttpReader(size_t max_head_bytes);
  ~HttpReader();

  // Expects the next request. Bytes that came behind the last one are its beginning.
  void Begin();
  // Bytes of the connection, in their order.
  void Put(std::string_view bytes);

  // The plain form of what was understood so far, to be taken by whoever reads on: the request line
  // and headers as they came; a body in chunks without their extensions and trailers.
  std::string& plain() { return plain_; }
  const std::string& plain() const { return plain_; }
  bool has_input() const { return !input_.empty(); }
  bool head_complete() const;
  bool complete() const;
  const HttpProblem& problem() const { return problem_; }

 private:
  class Parser;
  void Parse();
  bool CheckHead();
  void Fail(int status, std::string message);

  const size_t max_head_bytes_;
  std::string input_;      // not parsed yet
  size_t head_bytes_ = 0;  // of the head, parsed already
  std::string plain_;
  std::unique_ptr<Parser> parser_;
  HttpProblem problem_;
};

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_HTTP_READER_H_
