// Pictures made of art, with questions about them and their right answers.
#ifndef FASTVLM_TRAIN_SCENE_SCENE_H_
#define FASTVLM_TRAIN_SCENE_SCENE_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "train/art/art.h"

namespace fastvlm::train {

enum class Task {
  kName,        // what is the one thing shown
  kDescribe,    // a caption of the whole picture
  kCount,       // how many of them
  kWhere,       // where is it
  kWhatAt,      // what is there
  kPresent,     // is there one: yes or no
  kBackground,  // colour of the background
  kRead,        // the text
};

// One question and its only right answer.
struct Turn {
  Task task = Task::kName;
  std::string question;  // "What is on the left?"
  std::string answer;    // "A red apple."
  // If the question names a thing: its concept, and where its name ends in the question.
  int subject = -1;
  size_t subject_end = 0;
};

enum class ThingKind { kObject, kCharacter, kBackground };

// Something that is seen. Image tokens are taught its `words`, which are those of answers: "red
// apple", "7", "light blue".
struct Thing {
  ThingKind kind = ThingKind::kObject;
  int concept_index = -1;  // of an object
  std::string words;
};

struct Scene {
  int height = 0, width = 0;
  std::vector<uint8_t> rgb;  // [height, width, 3]
  std::vector<Turn> turns;
  std::vector<Thing> things;
  // [height / cell, width / cell], row-major: for each cell the indices of the things that cover at
  // least an eighth of it. The cell that holds the centre of a character has it in any case. A cell
  // with nothing else has the background.
  std::vector<std::vector<int>> cells;
};

// What a scene shows; kAny draws one by the training weights.
enum class Layout {
  kAny,
  kSingle,  // one thing
  kPair,    // two different things, left/right or top/bottom
  kGroup,   // three or four different things in the corners
  kAlike,   // several of one kind
  kText,    // text alone
  kTextAndThing
};

struct SceneOptions {
  int height = 192, width = 192;  // multiples of cell
  int cell = 32;                  // pixels per visual token and side
  Layout layout = Layout::kAny;
  int turns = 4;                // how many of the possible questions are asked, at most
  bool held_out_style = false;  // only sprites of held-out styles, else never one
  // How often kAny draws each layout, in the order of the enum after kAny; all 0: as in training.
  std::array<float, 6> layout_weights{};
  bool held_out_fonts = false;
  bool augment = true;  // colours, outlines, noise, styles for training: off for evaluation
  bool pad = false;     // now and then black bars, as padding to a square leaves them
};

// The same seed and options always give the same scene.
Scene MakeScene(const Art& art, const SceneOptions& options, uint64_t seed);

// A close-up for teaching the encoder its first shapes: one thing, or one to three characters.
struct Crop {
  std::vector<uint8_t> rgb;  // [side, side, 3]
  int concept_index = -1;    // of the thing, or -1
  std::string characters;    // or the text
};
Crop MakeCrop(const Art& art, int side, double text_share, bool held_out_style, bool augment,
              uint64_t seed);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_SCENE_SCENE_H_
