// What a client asks for, in the same shape for every API it may speak.
#ifndef FASTVLM_SERVER_CALL_H_
#define FASTVLM_SERVER_CALL_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fastvlm/engine.h"
#include "fastvlm/options.h"

namespace fastvlm {

// What a request may ask for; the rest are limits of the connection (server.h).
struct CallLimits {
  int max_tokens = 2048;  // longest answer; requests for more get this many
  int max_images = 16;    // in one request
  bool allow_remote_images = false;
};

// A picture as it came: its file, or where to fetch it.
struct ImageSource {
  std::vector<uint8_t> file;
  std::string url;    // http or https; empty: `file` is it
  std::string param;  // where the request names it, for messages: "messages[0].content[1]"
};

// Text, or a picture by its index in Call::images.
struct CallPart {
  std::string text;
  std::optional<size_t> image;
};

struct CallMessage {
  Role role = Role::kUser;
  std::vector<CallPart> parts;
};

struct Call {
  std::string model;  // as the client named it
  std::vector<CallMessage> messages;
  std::optional<std::string> prompt;  // instead of messages
  std::vector<ImageSource> images;
  EncodeOptions encode;
  GenerateOptions generate;
  bool seed_given = false;
  std::vector<std::string> stop;
  int top_logprobs = -1;
  std::optional<std::string> json_schema;
  bool stream = false;
  bool include_usage = false;  // in a stream
};

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_CALL_H_
