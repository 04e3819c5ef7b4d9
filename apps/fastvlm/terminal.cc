#include "terminal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "base/printable.h"
#include "commands.h"
#include "flags.h"

namespace fastvlm {
namespace {

bool UseColour() {
  const char* no_color = std::getenv("NO_COLOR");
  return isatty(STDERR_FILENO) != 0 && (no_color == nullptr || *no_color == '\0');
}

// Not fmt::print, which throws when nobody reads.
void WriteError(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); }

void PrintLabelled(std::string_view label, std::string_view colour, std::string_view message) {
  const std::string text = TerminalText(message);
  WriteError(UseColour() ? fmt::format("\033[1;{}m{}\033[0m {}\n", colour, label, text)
                         : fmt::format("{} {}\n", label, text));
}

constexpr double kQuietStartMs = 200;
constexpr int kBarWidth = 30;

bool error_printed = false;

}  // namespace

void WriteText(std::string_view text) {
  static const bool to_terminal = isatty(STDOUT_FILENO) != 0;
  const std::string safe = to_terminal ? TerminalText(text) : std::string();
  if (to_terminal) text = safe;
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void WriteJson(std::string_view json) { WriteText(TerminalJson(json) + "\n"); }

void SayText(std::string_view text) { WriteError(TerminalText(text)); }

bool FlushOutput() {
  std::cout.flush();
  return std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && !std::cout.fail();
}

void OpenStandardStreams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) == -1) open("/dev/null", O_RDONLY);  // takes the lowest number
  }
}

int FinishOutput(int exit_code) {
  if (FlushOutput() || exit_code == kExitUsage) return exit_code;
  if (!error_printed) PrintError("standard output: cannot write; is the disk full?");
  return kExitFailure;
}

void PrintError(std::string_view message) {
  error_printed = true;
  PrintLabelled("error:", "31", message);
}
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
  WriteError(fmt::format("\r\033[K{} {} {:3d} %{}", label_, bar, percent, TerminalText(detail)));
}

void ProgressLine::Clear() {
  if (!visible_) return;
  WriteError("\r\033[K");
  visible_ = false;
}

}  // namespace fastvlm
