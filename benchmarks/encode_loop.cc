// Encodes a picture once for each line read from standard input and prints the milliseconds, so
// that a script can take turns between this and a peer on the same machine.
// Usage: encode_loop MODEL RESOLUTION THREADS
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "fastvlm/fastvlm.h"

namespace fastvlm {
namespace {

// A picture with something everywhere, so that no input is trivially zero.
Image Picture(int side) {
  Image image{side, side,
              std::vector<uint8_t>(static_cast<size_t>(side) * static_cast<size_t>(side) * 3)};
  uint32_t state = 1;
  for (uint8_t& value : image.pixels) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<uint8_t>(state >> 24);
  }
  return image;
}

int Run(const std::string& directory, int resolution, int threads) {
  ModelOptions model_options;
  model_options.threads = threads;
  const auto model = Model::Load(directory, model_options);
  if (!model.ok()) {
    std::fprintf(stderr, "%s\n", model.status().message().c_str());
    return 1;
  }
  const Image image = Picture(resolution);
  EncodeOptions options;
  options.width = options.height = resolution;
  char line[256];
  while (std::fgets(line, sizeof(line), stdin) != nullptr) {
    const auto start = std::chrono::steady_clock::now();
    const auto features = (*model)->EncodeFeatures(image, options);
    const std::chrono::duration<double, std::milli> elapsed =
        std::chrono::steady_clock::now() - start;
    if (!features.ok()) {
      std::fprintf(stderr, "%s\n", features.status().message().c_str());
      return 1;
    }
    std::printf("%.3f\n", elapsed.count());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace fastvlm

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: encode_loop MODEL RESOLUTION THREADS\n");
    return 2;
  }
  return fastvlm::Run(argv[1], std::atoi(argv[2]), std::atoi(argv[3]));
}
