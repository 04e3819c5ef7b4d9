// Scenes and crops as tensors.
#ifndef FASTVLM_TRAIN_TRAINER_BATCH_H_
#define FASTVLM_TRAIN_TRAINER_BATCH_H_

#include <torch/torch.h>

#include <map>
#include <span>
#include <string>
#include <vector>

#include "text/tokenizer.h"
#include "train/scene/scene.h"

namespace fastvlm::train {

// Soft targets over some classes, a few of them per row: row i is to give class index[i, j] the
// probability weight[i, j]; the weights of a row add up to the weight of the row.
struct SparseTargets {
  torch::Tensor index;   // int64 [rows, most]
  torch::Tensor weight;  // f32 [rows, most]
};

// How words and things become ids. Immutable.
class Vocabulary {
 public:
  // kDataError if the tokenizer lacks a token that prompts need.
  static Result<Vocabulary> Create(const Art& art, const Tokenizer& tokenizer);

  int64_t tokens() const { return tokenizer_->size(); }
  int64_t classes() const { return static_cast<int64_t>(class_of_.size()); }  // of the class head

  // The prompt before the picture, and a turn behind it: the question up to where the answer
  // begins, the answer with the token that ends it.
  const std::vector<int32_t>& prefix() const { return prefix_; }
  std::vector<int32_t> QuestionIds(const std::string& question) const;
  std::vector<int32_t> AnswerIds(const std::string& answer) const;

  // Where in QuestionIds(question) the token is that ends at byte `end` of the question.
  size_t TokenBefore(const std::string& question, size_t end) const;

  // Ids of the words a thing is called, as they stand in the middle of a sentence; a character's
  // is the one it has in quotes.
  std::vector<int32_t> WordIds(const Thing& thing) const;
  int64_t ClassOf(const Thing& thing) const;  // -1 for a background
  // The words (their first tokens) top, bottom, left, right.
  const std::vector<int64_t>& place_ids() const { return place_ids_; }

  // The tokens of an answer that say something: without "At the", the period and the end.
  std::vector<int32_t> ContentIds(const std::string& answer) const;
  const std::string& ConceptName(int index) const {
    return concept_names_[static_cast<size_t>(index)];
  }

 private:
  const Tokenizer* tokenizer_ = nullptr;
  std::vector<int32_t> prefix_;
  std::vector<std::string> concept_names_;
  std::map<std::string, int64_t> class_of_;  // by a concept's name or a character
  int32_t end_of_turn_ = 0;
  std::vector<int64_t> place_ids_;
};

struct CropBatch {
  torch::Tensor images;          // f32 [batch, side, side, 3], 0 to 1
  SparseTargets words, classes;  // a row for each crop
};
CropBatch MakeCropBatch(const Vocabulary& vocabulary, std::span<const Crop> crops, int side);

// One sequence for each picture: the prefix, the picture's tokens, then the turns. Each turn sees
// the prefix, the picture and itself, and its positions begin after the picture's.
struct SceneBatch {
  torch::Tensor images;     // f32 [batch, height, width, 3], 0 to 1
  torch::Tensor turn_ids;   // int64 [batch, length]; of padding: 0
  torch::Tensor positions;  // int64 [batch, prefix + picture + length]
  torch::Tensor segments;   // int32, the same shape
  torch::Tensor source;     // int64 [answers + hints]: flat index of the token that foretells ...
  torch::Tensor target;     // int64 [answers + hints]: ... this one
  // f32 [answers + hints]: the weight of this token's loss; of an answer's, 1 / sqrt(its length).
  // Hints come last. They teach the tokens of a question to find what it asks for: where a thing is
  // looked up by name, each token of the question is to foretell the content of the answer as well.
  // To learn this from the answer alone, the network would have to learn two things at once, to
  // find the thing and to carry it to the answer, and it never began to.
  torch::Tensor weight;
  // For each question that names a thing: the flat index of the name's last token, and which tokens
  // it is to look at: those of the picture that show the thing, or the first one of all if none
  // does.
  torch::Tensor look_rows;          // int64 [names]
  SparseTargets look;               // a row for each of them
  std::vector<int> turn_of_target;  // [answers]: which of all turns of the batch
  std::vector<Task> tasks;          // of these turns
  SparseTargets words, classes;     // a row for each cell of each picture
  torch::Tensor places;             // int64 [cells, 2]: 1 in the lower half, 1 in the right one
};
SceneBatch MakeSceneBatch(const Vocabulary& vocabulary, std::span<const Scene> scenes, int cell);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_TRAINER_BATCH_H_
