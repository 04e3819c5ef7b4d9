// What counts as a right answer, and how sure a share of right answers is.
#ifndef FASTVLM_EVAL_SCORE_H_
#define FASTVLM_EVAL_SCORE_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace fastvlm {

// The text as answers are compared: white space at both ends and one final period removed, ASCII
// letters in lower case.
std::string NormalizeAnswer(std::string_view text);

// Whether both are the same once normalised.
bool IsExactMatch(std::string_view answer, std::string_view expected);

struct Interval {
  double low = 0, high = 1;
};

// 95 % interval of a probability after `hits` of `count` trials; 0 to 1 for no trials.
// Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference,
// Journal of the American Statistical Association 22 (1927), with z = 1.959964.
Interval WilsonInterval(int64_t hits, int64_t count);

}  // namespace fastvlm

#endif  // FASTVLM_EVAL_SCORE_H_
