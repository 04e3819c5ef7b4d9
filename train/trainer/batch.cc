#include "train/trainer/batch.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "text/chat_prompt.h"

namespace fastvlm::train {
namespace {

constexpr float kBackgroundWeight = 0.25f;
constexpr int32_t kPaddingSegment = -1;
constexpr float kHintWeight = 0.3f;
// The weight of the token that looks: what it finds is to be read from there.
constexpr float kNameHintWeight = 3;
constexpr float kPlaceWeight = 0.3f;

// Classes and weights of one row.
using SparseRow = std::vector<std::pair<int64_t, float>>;

SparseTargets ToTensors(const std::vector<SparseRow>& rows) {
  size_t most = 1;
  for (const SparseRow& row : rows) most = std::max(most, row.size());
  const auto count = static_cast<int64_t>(rows.size()), width = static_cast<int64_t>(most);
  SparseTargets targets{torch::zeros({count, width}, torch::kInt64), torch::zeros({count, width})};
  int64_t* index = targets.index.data_ptr<int64_t>();
  float* weight = targets.weight.data_ptr<float>();
  for (const SparseRow& row : rows) {
    for (size_t j = 0; j < row.size(); ++j) {
      index[j] = row[j].first;
      weight[j] = row[j].second;
    }
    index += width;
    weight += width;
  }
  return targets;
}

void ToImage(std::span<const uint8_t> rgb, float* out) {
  for (size_t i = 0; i < rgb.size(); ++i) out[i] = static_cast<float>(rgb[i]) / 255.0f;
}

SparseRow Uniform(const std::vector<int64_t>& ids, float total) {
  SparseRow row;
  for (const int64_t id : ids) row.emplace_back(id, total / static_cast<float>(ids.size()));
  return row;
}

// What the cell shows, as words and as classes. Where nothing stands this is the colour, with less
// weight. The words for a thing's place in the picture follow those for the thing: a decoder that
// finds the thing by its words then has its place too, which it could not tell from the position of
// the token.
void CellTargets(const Vocabulary& vocabulary, const Scene& scene, const std::vector<int>& cell,
                 const std::array<int64_t, 2>& place, SparseRow* words, SparseRow* classes) {
  std::vector<int64_t> word_ids, class_ids, colour_ids;
  bool has_object = false;
  for (const int index : cell) {
    const Thing& thing = scene.things[static_cast<size_t>(index)];
    const bool background = thing.kind == ThingKind::kBackground;
    for (const int32_t id : vocabulary.WordIds(thing)) {
      (background ? colour_ids : word_ids).push_back(id);
    }
    if (!background) class_ids.push_back(vocabulary.ClassOf(thing));
    has_object = has_object || thing.kind == ThingKind::kObject;
  }
  if (word_ids.empty()) {
    *words = Uniform(colour_ids, kBackgroundWeight);
  } else if (!has_object) {
    *words = Uniform(word_ids, 1);
  } else {
    *words = Uniform(word_ids, 1 - kPlaceWeight);
    for (int64_t id : place) words->emplace_back(id, kPlaceWeight / 2);
  }
  *classes = Uniform(class_ids, 1);
}

}  // namespace

Result<Vocabulary> Vocabulary::Create(const Art& art, const Tokenizer& tokenizer) {
  Vocabulary vocabulary;
  vocabulary.tokenizer_ = &tokenizer;
  const auto end = tokenizer.TokenId("<|im_end|>");
  if (!end || !tokenizer.TokenId("<|im_start|>") || !tokenizer.TokenId("<image>")) {
    return Error(StatusCode::kDataError,
                 "the tokenizer lacks <|im_start|>, <|im_end|> or <image>; make one with "
                 "'fastvlm-train tokenizer'");
  }
  vocabulary.end_of_turn_ = *end;
  const ChatTurn turn{.role = ChatRole::kUser, .text = "", .images = 1};
  FASTVLM_ASSIGN_OR_RETURN(const std::string prompt, BuildPrompt({&turn, 1}));
  for (const int32_t id : TokenizePrompt(tokenizer, prompt)) {
    if (id == kImageTokenIndex) break;
    vocabulary.prefix_.push_back(id);
  }
  for (const char* word : {" top", " bottom", " left", " right"}) {
    vocabulary.place_ids_.push_back(tokenizer.Encode(word).front());
  }
  int64_t next = 0;
  for (const Concept& entry : art.concepts()) {
    vocabulary.concept_names_.push_back(entry.name);
    vocabulary.class_of_[entry.name] = next++;
  }
  for (char c = '!'; c <= '~'; ++c) vocabulary.class_of_[std::string(1, c)] = next++;
  return vocabulary;
}

std::vector<int32_t> Vocabulary::QuestionIds(const std::string& question) const {
  const ChatTurn turn{.role = ChatRole::kUser, .text = question, .images = 1};
  auto prompt = BuildPrompt({&turn, 1});
  std::vector<int32_t> ids = TokenizePrompt(*tokenizer_, std::move(prompt).value());
  ids.erase(ids.begin(), std::find(ids.begin(), ids.end(), kImageTokenIndex) + 1);
  return ids;
}

size_t Vocabulary::TokenBefore(const std::string& question, size_t end) const {
  const std::vector<int32_t> ids = QuestionIds(question.substr(0, end));
  const auto after = std::find(ids.begin(), ids.end(), end_of_turn_);
  return static_cast<size_t>(after - ids.begin()) - 1;
}

std::vector<int32_t> Vocabulary::AnswerIds(const std::string& answer) const {
  std::vector<int32_t> ids = tokenizer_->Encode(answer);
  ids.push_back(end_of_turn_);
  return ids;
}

std::vector<int32_t> Vocabulary::ContentIds(const std::string& answer) const {
  std::string_view content = answer;
  for (std::string_view start : {"At the", "On the", "In the"}) {
    if (content.starts_with(start)) content.remove_prefix(start.size());
  }
  if (content.ends_with('.')) content.remove_suffix(1);
  return tokenizer_->Encode(std::string(content));
}

std::vector<int32_t> Vocabulary::WordIds(const Thing& thing) const {
  if (thing.kind == ThingKind::kCharacter) return tokenizer_->Encode(thing.words);
  return tokenizer_->Encode(" " + thing.words);
}

int64_t Vocabulary::ClassOf(const Thing& thing) const {
  const auto found = class_of_.find(thing.words);
  return found == class_of_.end() ? -1 : found->second;
}

CropBatch MakeCropBatch(const Vocabulary& vocabulary, std::span<const Crop> crops, int side) {
  CropBatch batch;
  batch.images = torch::empty({static_cast<int64_t>(crops.size()), side, side, 3});
  float* pixels = batch.images.data_ptr<float>();
  std::vector<SparseRow> words, classes;
  for (const Crop& crop : crops) {
    ToImage(crop.rgb, pixels);
    pixels += crop.rgb.size();
    std::vector<int64_t> word_ids, class_ids;
    const auto add = [&](const Thing& thing) {
      for (const int32_t id : vocabulary.WordIds(thing)) word_ids.push_back(id);
      class_ids.push_back(vocabulary.ClassOf(thing));
    };
    if (crop.concept_index >= 0) {
      add({ThingKind::kObject, crop.concept_index, vocabulary.ConceptName(crop.concept_index)});
    }
    for (const char c : crop.characters) add({ThingKind::kCharacter, -1, std::string(1, c)});
    words.push_back(Uniform(word_ids, 1));
    classes.push_back(Uniform(class_ids, 1));
  }
  batch.words = ToTensors(words);
  batch.classes = ToTensors(classes);
  return batch;
}

namespace {

// The turns of one picture, one after the other.
struct TurnRow {
  std::vector<int64_t> ids, offsets;  // offsets: position behind the picture
  std::vector<int32_t> segments;
  std::vector<std::pair<size_t, int>> targets;  // place of an answer's token, and its turn
  struct Hint {
    size_t place;
    int32_t id;
    float weight;
  };
  std::vector<Hint> hints;
  struct Look {
    size_t place;
    int subject;
  };
  std::vector<Look> looks;
};

// Which tokens before the turns show a concept; the first of all if none does.
SparseRow LookTargets(const Scene& scene, int subject, int64_t prefix) {
  std::vector<int64_t> tokens;
  for (size_t c = 0; c < scene.cells.size(); ++c) {
    for (const int index : scene.cells[c]) {
      const Thing& thing = scene.things[static_cast<size_t>(index)];
      if (thing.kind != ThingKind::kObject || thing.concept_index != subject) continue;
      tokens.push_back(prefix + static_cast<int64_t>(c));
      break;
    }
  }
  if (tokens.empty()) tokens.push_back(0);
  return Uniform(tokens, 1);
}

TurnRow MakeTurnRow(const Vocabulary& vocabulary, const Scene& scene, int first_turn) {
  TurnRow row;
  int32_t segment = 0;
  for (const Turn& turn : scene.turns) {
    const std::vector<int32_t> question = vocabulary.QuestionIds(turn.question);
    const std::vector<int32_t> answer = vocabulary.AnswerIds(turn.answer);
    ++segment;
    int64_t offset = 0;
    const auto append = [&](int32_t id) {
      row.ids.push_back(id);
      row.offsets.push_back(offset++);
      row.segments.push_back(segment);
    };
    const bool is_lookup =
        turn.task == Task::kWhere || turn.task == Task::kPresent || turn.task == Task::kCount;
    const std::vector<int32_t> content =
        is_lookup ? vocabulary.ContentIds(turn.answer) : std::vector<int32_t>();
    size_t name = std::numeric_limits<size_t>::max();
    if (turn.subject >= 0) {
      name = row.ids.size() + vocabulary.TokenBefore(turn.question, turn.subject_end);
      row.looks.push_back({name, turn.subject});
    }
    for (const int32_t id : question) {
      for (const int32_t hint : content) {
        const float weight = row.ids.size() == name ? kNameHintWeight : kHintWeight;
        row.hints.push_back({row.ids.size(), hint, weight / static_cast<float>(content.size())});
      }
      append(id);
    }
    // From the last token of the question the answer itself is foretold.
    row.hints.resize(row.hints.size() - content.size());
    for (const int32_t id : answer) {
      row.targets.emplace_back(row.ids.size(), first_turn + segment - 1);
      append(id);
    }
    row.ids.pop_back();  // nothing follows the end of the turn
    row.offsets.pop_back();
    row.segments.pop_back();
  }
  return row;
}

}  // namespace

SceneBatch MakeSceneBatch(const Vocabulary& vocabulary, std::span<const Scene> scenes, int cell) {
  const int height = scenes[0].height, width = scenes[0].width;
  const auto count = static_cast<int64_t>(scenes.size());
  SceneBatch batch;
  batch.images = torch::empty({count, height, width, 3});
  float* pixels = batch.images.data_ptr<float>();
  const int columns = width / cell, cell_rows = height / cell;
  const std::vector<int64_t>& ids = vocabulary.place_ids();
  std::vector<SparseRow> words, classes;
  std::vector<int64_t> places;
  std::vector<TurnRow> rows;
  size_t length = 1;
  for (const Scene& scene : scenes) {
    ToImage(scene.rgb, pixels);
    pixels += scene.rgb.size();
    for (int c = 0; c < cell_rows * columns; ++c) {
      const int below = 2 * (c / columns) >= cell_rows, right = 2 * (c % columns) >= columns;
      places.insert(places.end(), {below, right});
      CellTargets(vocabulary, scene, scene.cells[static_cast<size_t>(c)],
                  {ids[static_cast<size_t>(below)], ids[static_cast<size_t>(2 + right)]},
                  &words.emplace_back(), &classes.emplace_back());
    }
    rows.push_back(MakeTurnRow(vocabulary, scene, static_cast<int>(batch.tasks.size())));
    for (const Turn& turn : scene.turns) batch.tasks.push_back(turn.task);
    length = std::max(length, rows.back().ids.size());
  }
  batch.words = ToTensors(words);
  batch.classes = ToTensors(classes);
  batch.places = torch::tensor(places, torch::kInt64).view({-1, 2});

  const auto before =
      static_cast<int64_t>(vocabulary.prefix().size()) + int64_t{height / cell} * (width / cell);
  const auto turns = static_cast<int64_t>(length);
  batch.turn_ids = torch::zeros({count, turns}, torch::kInt64);
  batch.positions = torch::zeros({count, before + turns}, torch::kInt64);
  batch.segments = torch::zeros({count, before + turns}, torch::kInt32);
  batch.positions.slice(1, 0, before).copy_(torch::arange(before));
  std::vector<int64_t> source, target, hint_source, hint_target;
  std::vector<float> weight, hint_weight;
  std::vector<int64_t> look_rows;
  std::vector<SparseRow> looks;
  for (int64_t b = 0; b < count; ++b) {
    const TurnRow& row = rows[static_cast<size_t>(b)];
    int64_t* turn_ids = batch.turn_ids[b].data_ptr<int64_t>();
    int64_t* positions = batch.positions[b].data_ptr<int64_t>() + before;
    int32_t* segments = batch.segments[b].data_ptr<int32_t>() + before;
    std::copy(row.ids.begin(), row.ids.end(), turn_ids);
    std::copy(row.segments.begin(), row.segments.end(), segments);
    std::fill(segments + row.ids.size(), segments + turns, kPaddingSegment);
    for (size_t i = 0; i < row.ids.size(); ++i) positions[i] = before + row.offsets[i];
    for (const auto& [place, turn] : row.targets) {
      source.push_back(b * (before + turns) + before + static_cast<int64_t>(place) - 1);
      batch.turn_of_target.push_back(turn);
    }
    for (const auto& [place, subject] : row.looks) {
      look_rows.push_back(b * (before + turns) + before + static_cast<int64_t>(place));
      looks.push_back(LookTargets(scenes[static_cast<size_t>(b)], subject,
                                  static_cast<int64_t>(vocabulary.prefix().size())));
    }
    for (const auto& [place, id, hint] : row.hints) {
      hint_source.push_back(b * (before + turns) + before + static_cast<int64_t>(place));
      hint_target.push_back(id);
      hint_weight.push_back(hint);
    }
  }
  // A compromise between the mean over tokens, in which a yes or no would drown among descriptions,
  // and the mean over answers.
  for (const Scene& scene : scenes) {
    for (const Turn& turn : scene.turns) {
      const std::vector<int32_t> answer = vocabulary.AnswerIds(turn.answer);
      target.insert(target.end(), answer.begin(), answer.end());
      weight.insert(weight.end(), answer.size(), 1 / std::sqrt(static_cast<float>(answer.size())));
    }
  }
  source.insert(source.end(), hint_source.begin(), hint_source.end());
  target.insert(target.end(), hint_target.begin(), hint_target.end());
  weight.insert(weight.end(), hint_weight.begin(), hint_weight.end());
  batch.source = torch::tensor(source, torch::kInt64);
  batch.target = torch::tensor(target, torch::kInt64);
  batch.weight = torch::tensor(weight);
  batch.look_rows = torch::tensor(look_rows, torch::kInt64);
  batch.look = ToTensors(looks);
  return batch;
}

}  // namespace fastvlm::train
