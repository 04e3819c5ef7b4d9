// Reads the fields of a JSON request, and says what is wrong with them as OpenAI does.
#ifndef FASTVLM_SERVER_REQUEST_FIELDS_H_
#define FASTVLM_SERVER_REQUEST_FIELDS_H_

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "fastvlm/options.h"
#include "server/api_error.h"

namespace fastvlm {

// The keys of a request keep their order, since an answer has the keys of a schema in that order.
using Json = nlohmann::ordered_json;

// The JSON object in `text`; limited in depth, in number of values and in keys of one object. On an
// error `error` is set and null returned. Half a surrogate pair, which a client makes by cutting a
// text inside a character, becomes U+FFFD; `notes` then says so.
Json ParseRequestJson(std::string_view text, std::vector<std::string>* notes,
                      std::optional<ApiError>* error);

// A value as a message shows it.
std::string ShownValue(const Json& value);

// The fields of one object. Errors are kept, the first counts: read everything, then look at
// error(). A field that is absent or null leaves its variable as it is.
class RequestFields {
 public:
  // `object` must outlive this. `prefix` is where it stands in the request: "stream_options.".
  explicit RequestFields(const Json& object, std::string prefix = {})
      : object_(object), prefix_(std::move(prefix)) {}

  std::string Name(const char* name) const { return prefix_ + name; }

  // nullptr if the field is absent or null. Its name counts as known from now on.
  const Json* Find(const char* name);

  void Number(const char* name, const FieldRange& range, float* value);
  // True if the field is there and right.
  bool Integer(const char* name, int64_t low, int64_t high, int64_t* value);
  void Bool(const char* name, bool* value);
  void String(const char* name, std::string* value);

  // Fields that are accepted without effect; docs/SERVER.md lists them.
  void Ignore(std::initializer_list<const char*> names);
  // A field that may only be absent, null, false, 0, empty or `harmless`.
  void Refuse(const char* name, const Json& harmless = nullptr);
  // Every field that has not been named is an error, unless it is null, false, 0 or empty.
  void RefuseUnknown();

  void Fail(ApiError error);
  void Wrong(const char* name, std::string_view expected, const Json& found);

  // Keeps the error of an object inside of this one.
  void Join(const RequestFields& inner) {
    if (!inner.ok()) Fail(*inner.error());
  }

  bool ok() const { return !error_.has_value(); }
  const std::optional<ApiError>& error() const { return error_; }

 private:
  const Json& object_;
  std::string prefix_;
  std::set<std::string, std::less<>> known_;
  std::optional<ApiError> error_;
};

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_REQUEST_FIELDS_H_
