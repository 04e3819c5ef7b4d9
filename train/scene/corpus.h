// Text that holds every word of the questions and answers: what the tokenizer is trained on.
#ifndef FASTVLM_TRAIN_SCENE_CORPUS_H_
#define FASTVLM_TRAIN_SCENE_CORPUS_H_

#include <string>
#include <vector>

#include "train/art/art.h"
#include "train/scene/scene.h"

namespace fastvlm::train {

// Each concept in every position that the grammar has for it, each colour, place and number.
std::vector<std::string> SystematicLines(const Art& art);

// The questions and answers of a scene. What stands in double quotes is left out with the quotes,
// so that no written text is learned as words.
std::vector<std::string> SceneLines(const Scene& scene);

// The words that stand around every question in the prompt. Counted once for each scene, they
// become single tokens.
std::vector<std::string> PromptLines();

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_SCENE_CORPUS_H_
