// What the program says on standard error: errors, warnings and a progress line.
#ifndef FASTVLM_APPS_TERMINAL_H_
#define FASTVLM_APPS_TERMINAL_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "base/stopwatch.h"
#include "fastvlm/status.h"

namespace fastvlm {

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
