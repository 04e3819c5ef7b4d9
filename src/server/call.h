// What a client asks for, in the same shape for every API it may speak.
#ifndef FASTVLM_SERVER_CALL_H_
#define FASTVLM_SERVER_CALL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fastvlm/color.h"
#include "fastvlm/engine.h"
#include "fastvlm/image.h"

namespace fastvlm {

// What a request may ask for; the rest are limits of the connection (server.h).
struct CallLimits {
  int max_tokens = 2048;  // longest answer; requests for more get this many
  int max_images = 16;    // in one request
  int64_t max_encoder_pixels = 2048 * 3072;
  bool allow_remote_images = false;
};

// A picture as a request brings it: its file, or where to fetch it.
struct CallImage {
  std::vector<uint8_t> file;
  std::string url;    // http or https; empty if the request has the file itself
  std::string param;  // where the request names it, for messages: "messages[0].content[1]"
  // The picture that stands in a message. It has no pixels until ImageLoader gives it some.
  std::shared_ptr<Image> decoded = std::make_shared<Image>();
};

struct Call {
  std::string model;                // as the client named it
  EngineRequest request;            // whole but for the pixels of its pictures
  std::vector<CallImage> images;    // all of them
  std::optional<Color> background;  // ImageOptions::background of all
  bool seed_given = false;
  bool stream = false;
  bool include_usage = false;  // in a stream
  // What the client should know of how its request was taken; a header of the answer says it.
  std::vector<std::string> notes;
};

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_CALL_H_
