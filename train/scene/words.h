// The words that pictures have written on them.
#ifndef FASTVLM_TRAIN_SCENE_WORDS_H_
#define FASTVLM_TRAIN_SCENE_WORDS_H_

#include <string>
#include <vector>

#include "train/scene/random.h"

namespace fastvlm::train {

// Common English words of two to six capitals.
const std::vector<std::string>& CommonWords();

// Whether it holds an "O" or a "0" with nothing beside it that tells which.
bool IsUnclear(const std::string& text);

// What a picture says: digits, a few capitals, a common word, or capitals and digits at random;
// at most max_length (1 or more) characters.
std::string DrawText(int max_length, Random& random);

// A text that differs from `text` but could be taken for it: often by one character only.
std::string DrawOtherText(const std::string& text, Random& random);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_SCENE_WORDS_H_
