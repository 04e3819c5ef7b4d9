// Questions about a composition and their right answers.
#ifndef FASTVLM_TRAIN_SCENE_QUESTIONS_H_
#define FASTVLM_TRAIN_SCENE_QUESTIONS_H_

#include <vector>

#include "train/scene/compose.h"

namespace fastvlm::train {

// "A cat on the left and a dog on the right, on a green background."
std::string Describe(const Art& art, const Composition& scene);

// At most `count` turns with different questions, drawn by weights.
std::vector<Turn> AskAbout(const Art& art, const Composition& scene, int count, Random& random);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_SCENE_QUESTIONS_H_
