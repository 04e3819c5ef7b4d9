#include "train/scene/scene.h"

#include <algorithm>

#include "base/check.h"
#include "train/scene/compose.h"
#include "train/scene/questions.h"

namespace fastvlm::train {
namespace {

// How often each layout is drawn, in the order of the enum after kAny; 38 % have text.
constexpr float kLayoutWeights[] = {0.19f, 0.17f, 0.15f, 0.11f, 0.19f, 0.19f};

// The part of the picture that is not bars.
struct Frame {
  int x = 0, y = 0, width = 0, height = 0;
};

Frame ChooseFrame(const SceneOptions& options, Random& random) {
  Frame frame{0, 0, options.width, options.height};
  if (!options.pad || !random.Chance(0.35)) return frame;
  int& side = random.Chance(0.5) ? frame.width : frame.height;
  side = static_cast<int>(static_cast<float>(side) * random.Between(0.55f, 0.92f));
  frame.x = (options.width - frame.width) / 2;
  frame.y = (options.height - frame.height) / 2;
  return frame;
}

// Puts `thing` into the cells that it covers enough of, or, if there are none, into the one that it
// covers most of.
void Mark(int thing, const Coverage& coverage, float least, Scene& scene) {
  bool marked = false;
  size_t fullest = 0;
  auto mark = [&](size_t cell) {
    std::vector<int>& here = scene.cells[cell];
    if (std::find(here.begin(), here.end(), thing) == here.end()) here.push_back(thing);
  };
  for (size_t i = 0; i < coverage.size(); ++i) {
    if (coverage[i] > coverage[fullest]) fullest = i;
    if (coverage[i] < least) continue;
    mark(i);
    marked = true;
  }
  if (!marked) mark(fullest);
}

void FillCells(const Art& art, const Composition& composition, const CellGrid& grid, Scene& scene) {
  const float least = static_cast<float>(grid.cell) * static_cast<float>(grid.cell) / 8;
  scene.cells.resize(static_cast<size_t>(grid.rows) * grid.columns);
  scene.things.push_back({ThingKind::kBackground, -1, composition.color->name});
  for (const Item& item : composition.items) {
    int thing = 1;
    const int count = static_cast<int>(scene.things.size());
    while (thing < count &&
           scene.things[static_cast<size_t>(thing)].concept_index != item.concept_index) {
      ++thing;
    }
    if (thing == count) {
      scene.things.push_back({ThingKind::kObject, item.concept_index,
                              art.concepts()[static_cast<size_t>(item.concept_index)].name});
    }
    Mark(thing, item.coverage, least, scene);
  }
  for (size_t i = 0; i < composition.text.size(); ++i) {
    const int thing = static_cast<int>(scene.things.size());
    scene.things.push_back({ThingKind::kCharacter, -1, std::string(1, composition.text[i])});
    Coverage coverage = composition.characters[i];
    const Spot& center = composition.centers[i];
    const int row =
        std::clamp((static_cast<int>(center.y) + grid.offset_y) / grid.cell, 0, grid.rows - 1);
    const int column =
        std::clamp((static_cast<int>(center.x) + grid.offset_x) / grid.cell, 0, grid.columns - 1);
    coverage[static_cast<size_t>(row * grid.columns + column)] = least;
    Mark(thing, coverage, least, scene);
  }
  for (std::vector<int>& cell : scene.cells) {
    if (cell.empty()) cell.push_back(0);
  }
}

}  // namespace

Scene MakeScene(const Art& art, const SceneOptions& options, uint64_t seed) {
  FASTVLM_CHECK(options.cell > 0 && options.width > 0 && options.height > 0);
  FASTVLM_CHECK(options.width % options.cell == 0 && options.height % options.cell == 0);
  Random random(seed);
  const bool weighted = options.layout_weights != std::array<float, 6>{};
  const int drawn = random.Weighted(weighted ? options.layout_weights.data() : kLayoutWeights, 6);
  const Layout layout =
      options.layout == Layout::kAny ? static_cast<Layout>(drawn + 1) : options.layout;
  const Frame frame = ChooseFrame(options, random);
  const CellGrid grid(options.height / options.cell, options.width / options.cell, options.cell,
                      frame.y, frame.x);
  Canvas canvas(frame.height, frame.width);
  const Composition composition = Compose(art, options, layout, grid, canvas, random);
  if (options.augment) Weather(canvas, random);

  Scene scene;
  scene.height = options.height;
  scene.width = options.width;
  scene.rgb.assign(static_cast<size_t>(scene.height) * scene.width * 3, 0);
  const int stride = scene.width * 3;
  StoreBytes(canvas, scene.rgb.data() + static_cast<ptrdiff_t>(frame.y) * stride + frame.x * 3,
             stride);
  FillCells(art, composition, grid, scene);
  scene.turns = AskAbout(art, composition, options.turns, random);
  return scene;
}

}  // namespace fastvlm::train
