// What the program writes: results on standard output, and on standard error what it says, errors,
// warnings and a progress line. On a terminal nothing of it steers the terminal.
#ifndef FASTVLM_APPS_TERMINAL_H_
#define FASTVLM_APPS_TERMINAL_H_

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/stopwatch.h"
#include "fastvlm/status.h"

namespace fastvlm {

// A result, on standard output. Names and answers may hold control characters, which a terminal
// would obey: there they are replaced (TerminalText), while a pipe or a file gets them as they are.
// Whether it could be written is checked at the end of the program, by FinishOutput.
void WriteText(std::string_view text);
// A JSON text and a line feed. It has no control characters anywhere.
void WriteJson(std::string_view json);
template <typename... T>
void Print(fmt::format_string<T...> format, T&&... arguments) {
  WriteText(fmt::format(format, std::forward<T>(arguments)...));
}

// The same on standard error, without control characters wherever it goes, and without an error if
// nobody reads it.
void SayText(std::string_view text);
template <typename... T>
void Say(fmt::format_string<T...> format, T&&... arguments) {
  SayText(fmt::format(format, std::forward<T>(arguments)...));
}

// Flushes standard output; false if something that was written to it did not get there.
bool FlushOutput();

// Standard input, output and error are there afterwards, so that no file of ours takes the place of
// one that was closed. What was closed cannot be written to.
void OpenStandardStreams();

// What the program ends with: `exit_code`, or kExitFailure and an error message, unless there was
// one, if its output is lost.
int FinishOutput(int exit_code);

// "error: ..." and "warning: ...", coloured on a terminal unless NO_COLOR is set.
void PrintError(std::string_view message);
void PrintError(const Status& status);  // of the library, with the program's flags by their names
void PrintWarning(std::string_view message);

// "12.3 MB"
std::string Megabytes(int64_t bytes);

// A line that is redrawn in place while something long runs. Shows nothing unless standard error is
// a terminal, and nothing for work that ends within a fifth of a second.
class ProgressLine {
 public:
  explicit ProgressLine(std::string label);
  ~ProgressLine() { Clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void Update(double fraction);
  // With a text after the bar, which may change more often than the bar.
  void Update(double fraction, std::string_view detail);
  void Clear();

 private:
  std::string label_;
  bool enabled_;
  bool visible_ = false;
  int last_percent_ = -1;
  std::string last_detail_;
  Stopwatch since_start_;
};

}  // namespace fastvlm

#endif  // FASTVLM_APPS_TERMINAL_H_
