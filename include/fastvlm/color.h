// A colour, as one writes it on a command line or in a request.
#ifndef FASTVLM_COLOR_H_
#define FASTVLM_COLOR_H_

#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace fastvlm {

struct Color {
  uint8_t red = 0;
  uint8_t green = 0;
  uint8_t blue = 0;
};

inline constexpr std::string_view kExpectedColor =
    "white, black or #rrggbb, for example #ffffff for white";

// "white", "black" or "#rrggbb", with small or capital digits; nothing for any other text.
inline std::optional<Color> ParseColor(std::string_view text) {
  if (text == "white") return Color{255, 255, 255};
  if (text == "black") return Color{};
  if (text.size() != 7 || text[0] != '#') return std::nullopt;
  std::array<uint8_t, 3> levels = {};
  for (size_t i = 0; i < levels.size(); ++i) {
    const char* digits = text.data() + 1 + 2 * i;
    const auto [end, error] = std::from_chars(digits, digits + 2, levels[i], 16);
    if (error != std::errc() || end != digits + 2) return std::nullopt;
  }
  return Color{levels[0], levels[1], levels[2]};
}

}  // namespace fastvlm

#endif  // FASTVLM_COLOR_H_
