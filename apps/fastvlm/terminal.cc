#include "terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "flags.h"

namespace fastvlm {
namespace {

bool UseColour() {
  const char* no_color = std::getenv("NO_COLOR");
  return isatty(STDERR_FILENO) != 0 && (no_color == nullptr || *no_color == '\0');
}

void PrintLabelled(std::string_view label, std::string_view colour, std::string_view message) {
  if (UseColour()) {
    fmt::print(stderr, "\033[1;{}m{}\033[0m {}\n", colour, label, message);
  } else {
    fmt::print(stderr, "{} {}\n", label, message);
  }
}

constexpr double kQuietStartMs = 200;
constexpr int kBarWidth = 30;

}  // namespace

void PrintError(std::string_view message) { PrintLabelled("error:", "31", message); }
void PrintError(const Status& status) { PrintError(WithFlagNames(status.message())); }
void PrintWarning(std::string_view message) { PrintLabelled("warning:", "33", message); }

std::string Megabytes(int64_t bytes) {
  return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
}

ProgressLine::ProgressLine(std::string label)
    : label_(std::move(label)), enabled_(isatty(STDERR_FILENO) != 0) {}

void ProgressLine::Update(double fraction) { Update(fraction, {}); }

void ProgressLine::Update(double fraction, std::string_view detail) {
  if (!enabled_ || since_start_.Milliseconds() < kQuietStartMs) return;
  const int percent = static_cast<int>(fraction * 100);
  if (percent == last_percent_ && detail == last_detail_) return;
  last_percent_ = percent;
  last_detail_ = detail;
  visible_ = true;
  const int filled = static_cast<int>(fraction * kBarWidth);
  std::string bar;
  for (int i = 0; i < kBarWidth; ++i) bar += i < filled ? "█" : "░";
  fmt::print(stderr, "\r\033[K{} {} {:3d} %{}", label_, bar, percent, detail);
  std::fflush(stderr);
}

void ProgressLine::Clear() {
  if (!visible_) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
  visible_ = false;
}

}  // namespace fastvlm
