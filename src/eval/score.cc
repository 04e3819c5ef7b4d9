#include "eval/score.h"

#include <algorithm>
#include <cmath>

namespace fastvlm {
namespace {

constexpr double kZ = 1.959963984540054;  // 97.5 % quantile of the normal distribution

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\n\r\v\f";
  const size_t first = text.find_first_not_of(kSpaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpaces) - first + 1);
}

}  // namespace

std::string NormalizeAnswer(std::string_view text) {
  text = Trim(text);
  if (text.ends_with('.')) {
    text.remove_suffix(1);
    text = Trim(text);
  }
  std::string normalized(text);
  for (char& c : normalized) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return normalized;
}

bool IsExactMatch(std::string_view answer, std::string_view expected) {
  return NormalizeAnswer(answer) == NormalizeAnswer(expected);
}

Interval WilsonInterval(int64_t hits, int64_t count) {
  if (count == 0) return {};
  const double n = static_cast<double>(count);
  const double share = static_cast<double>(hits) / n;
  const double centre = share + kZ * kZ / (2 * n);
  const double margin = kZ * std::sqrt((share * (1 - share) + kZ * kZ / (4 * n)) / n);
  const double scale = 1 + kZ * kZ / n;
  return {std::max(0.0, (centre - margin) / scale), std::min(1.0, (centre + margin) / scale)};
}

}  // namespace fastvlm
