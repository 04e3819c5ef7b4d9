#include "train/scene/compose.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "train/scene/words.h"

namespace fastvlm::train {
namespace {

struct Box {
  float x = 0, y = 0, width = 0, height = 0;
};

// A sprite with the room it is to fill.
struct Planned {
  Sprite sprite;
  Pose pose;
  Item item;
};

class Composer {
 public:
  Composer(const Art& art, const SceneOptions& options, const CellGrid& grid, Canvas& canvas,
           Random& random)
      : art_(art),
        options_(options),
        styles_(StyleKindOf(options.held_out_style, options.augment)),
        grid_(grid),
        canvas_(canvas),
        random_(random),
        width_(static_cast<float>(canvas.width)),
        height_(static_cast<float>(canvas.height)),
        least_text_(
            std::max(0.11f * static_cast<float>(std::min(options.width, options.height)), 12.0f)) {}

  Composition Run(Layout layout);

 private:
  void PlanSingle();
  void PlanPair();
  void PlanGroup();
  void PlanAlike();
  Box PlanTextAndThing();
  Choice ChooseDistinct();
  void PlaceIn(Choice choice, const Box& room, float share, float slack_x, float slack_y,
               Place place);
  void AddTo(const Box& room, float low, float high, Place place);
  std::vector<Box> AlikeRooms(int count);
  Rgb ChooseGround();
  void DrawItems();
  void WriteText(const Box& band, const Rgb& ground);

  const Art& art_;
  const SceneOptions& options_;
  const StyleKind styles_;
  const CellGrid& grid_;
  Canvas& canvas_;
  Random& random_;
  const float width_, height_;
  const float least_text_;  // least height of capitals, pixels, for the picture with its bars
  std::vector<Planned> planned_;
  Composition out_;
};

// Something that cannot be taken for anything already there.
Choice Composer::ChooseDistinct() {
  Choice choice;
  for (int tries = 0; tries < 40; ++tries) {
    std::vector<int> taken;
    for (const Planned& other : planned_) taken.push_back(other.item.concept_index);
    choice = DrawChoice(art_, styles_, taken, random_);
    const Concept& thing = art_.concepts()[static_cast<size_t>(choice.concept_index)];
    const bool clear = std::none_of(taken.begin(), taken.end(), [&](int index) {
      return MayBeMistaken(art_.concepts()[static_cast<size_t>(index)], thing);
    });
    if (clear) break;
  }
  return choice;
}

// Plans a sprite that fills `share` of the room; it may move by slack_x and slack_y (0..1) of what
// is left.
void Composer::PlaceIn(Choice choice, const Box& room, float share, float slack_x, float slack_y,
                       Place place) {
  Planned planned;
  const Freedom freedom = FreedomOf(art_.concepts()[static_cast<size_t>(choice.concept_index)]);
  const bool again = !planned_.empty() && out_.layout == Layout::kAlike;
  planned.sprite = again ? planned_[0].sprite
                         : PrepareSprite(art_, choice, share * std::min(room.width, room.height),
                                         options_.augment, random_);
  const float turn = options_.augment || again ? freedom.max_angle : 0;
  const float angle = random_.Between(-turn, turn);
  const Extent extent = ExtentOf(planned.sprite, angle);
  const float scale = share * std::min(room.width / extent.width, room.height / extent.height);
  const float spare_x = (room.width - scale * extent.width) / 2 * slack_x;
  const float spare_y = (room.height - scale * extent.height) / 2 * slack_y;
  planned.item.concept_index = choice.concept_index;
  planned.item.place = place;
  planned.item.x = room.x + room.width / 2 + random_.Between(-spare_x, spare_x);
  planned.item.y = room.y + room.height / 2 + random_.Between(-spare_y, spare_y);
  const bool flip = freedom.flip && options_.augment && random_.Chance(0.5);
  planned.pose = PoseSprite(planned.sprite, planned.item.x, planned.item.y, scale, angle, flip);
  planned_.push_back(std::move(planned));
}

void Composer::AddTo(const Box& room, float low, float high, Place place) {
  PlaceIn(ChooseDistinct(), room, random_.Between(low, high), 0.9f, 0.9f, place);
}

void Composer::PlanSingle() {
  const float side = std::min(width_, height_);
  const Choice choice = ChooseDistinct();
  const Box whole{0, 0, width_, height_};
  const float share = random_.Between(0.45f, 0.95f);
  const float size = share * side;
  // A place is only named where nobody would object.
  if (share > 0.62f || random_.Chance(0.3)) {
    if (random_.Chance(0.6)) return PlaceIn(choice, whole, share, 0.1f, 0.1f, Place::kMiddle);
    return PlaceIn(choice, whole, share, 1, 1, Place::kNone);
  }
  const Place place = random_.Pick({Place::kLeft, Place::kRight, Place::kTop, Place::kBottom});
  Box room{(width_ - size) / 2, (height_ - size) / 2, size, size};
  if (place == Place::kLeft) room.x = 0.02f * width_;
  if (place == Place::kRight) room.x = 0.98f * width_ - size;
  if (place == Place::kTop) room.y = 0.02f * height_;
  if (place == Place::kBottom) room.y = 0.98f * height_ - size;
  PlaceIn(choice, room, 0.98f, 0.5f, 0.5f, place);
}

void Composer::PlanPair() {
  const bool beside = width_ > 1.4f * height_ || (height_ <= 1.4f * width_ && random_.Chance(0.58));
  for (int i = 0; i < 2; ++i) {
    const float at = static_cast<float>(i);
    // A narrow strip across keeps "on the left" from being "at the top" as well.
    const Box room = beside ? Box{at * width_ / 2, 0.06f * height_, width_ / 2, 0.88f * height_}
                            : Box{0.06f * width_, at * height_ / 2, 0.88f * width_, height_ / 2};
    const Place place =
        beside ? (i == 0 ? Place::kLeft : Place::kRight) : (i == 0 ? Place::kTop : Place::kBottom);
    PlaceIn(ChooseDistinct(), room, random_.Between(0.62f, 0.97f), beside ? 0.9f : 0.3f,
            beside ? 0.3f : 0.9f, place);
  }
}

void Composer::PlanGroup() {
  constexpr std::array<Place, 4> kCorners = {Place::kTopLeft, Place::kTopRight, Place::kBottomLeft,
                                             Place::kBottomRight};
  const int empty = random_.Chance(0.5) ? random_.Below(4) : -1;
  for (int i = 0; i < 4; ++i) {
    if (i == empty) continue;
    const float x = static_cast<float>(i % 2), y = static_cast<float>(i / 2);
    AddTo({x * width_ / 2, y * height_ / 2, width_ / 2, height_ / 2}, 0.62f, 0.97f,
          kCorners[static_cast<size_t>(i)]);
  }
}

// Rooms for `count` alike: some cells of a grid, or evenly filled rows.
std::vector<Box> Composer::AlikeRooms(int count) {
  int columns = random_.From(1, count), rows = (count + columns - 1) / columns;
  const float aspect = width_ / height_;
  // Long thin rows make things tiny: at most twice as thin as the picture.
  while (columns > 1 && static_cast<float>(columns) > 2.01f * aspect * static_cast<float>(rows)) {
    --columns;
    rows = (count + columns - 1) / columns;
  }
  while (static_cast<float>(rows) * aspect > 2.01f * static_cast<float>(columns) &&
         columns < count) {
    ++columns;
    rows = (count + columns - 1) / columns;
  }
  std::vector<Box> rooms;
  if (random_.Chance(0.5)) {  // the last row is spread evenly
    for (int row = 0, left = count; row < rows; ++row) {
      const int here = std::min(left, (left + rows - row - 1) / (rows - row));
      for (int i = 0; i < here; ++i) {
        rooms.push_back({static_cast<float>(i) * width_ / static_cast<float>(here),
                         static_cast<float>(row) * height_ / static_cast<float>(rows),
                         width_ / static_cast<float>(here), height_ / static_cast<float>(rows)});
      }
      left -= here;
    }
    return rooms;
  }
  if (random_.Chance(0.4) && rows * columns < 9) (columns <= rows ? columns : rows) += 1;
  for (int i = 0; i < rows * columns; ++i) {
    rooms.push_back({static_cast<float>(i % columns) * width_ / static_cast<float>(columns),
                     static_cast<float>(i / columns) * height_ / static_cast<float>(rows),
                     width_ / static_cast<float>(columns), height_ / static_cast<float>(rows)});
  }
  while (static_cast<int>(rooms.size()) > count) {
    rooms.erase(rooms.begin() + random_.Below(static_cast<int>(rooms.size())));
  }
  return rooms;
}

void Composer::PlanAlike() {
  Choice choice;
  for (int tries = 0; tries < 40; ++tries) {
    choice = DrawChoice(art_, styles_, {}, random_);
    const Concept& thing = art_.concepts()[static_cast<size_t>(choice.concept_index)];
    if (thing.number == Number::kCountable && thing.article != "the") break;
  }
  const std::vector<Box> rooms = AlikeRooms(random_.From(2, 6));
  float side = 1e9f;
  for (const Box& room : rooms) side = std::min({side, room.width, room.height});
  const float share = random_.Between(0.62f, 0.95f);
  for (const Box& room : rooms) {
    // The rooms differ in size; the things in them should hardly do so.
    const float fit = side / std::min(room.width, room.height);
    PlaceIn(choice, room, share * fit * random_.Between(0.88f, 1.0f), 0.9f, 0.9f, Place::kNone);
  }
}

Box Composer::PlanTextAndThing() {
  const bool above = random_.Chance(0.5);
  const float needed = least_text_ * 1.7f / height_;
  const float part = std::max(random_.Between(0.22f, 0.4f), std::min(needed, 0.5f));
  const Box band{0, above ? 0 : (1 - part) * height_, width_, part * height_};
  const Box room{0, above ? band.height : 0, width_, height_ - band.height};
  // It hardly moves up and down, so that its centre stays in its own half.
  PlaceIn(ChooseDistinct(), room, random_.Between(0.7f, 0.97f), 0.45f, 0.25f,
          above ? Place::kBottom : Place::kTop);
  out_.text_place = above ? Place::kTop : Place::kBottom;
  return band;
}

// Paints the background in a colour that every sprite can be seen on.
Rgb Composer::ChooseGround() {
  const auto colors = NamedColors();
  const bool has_bars = canvas_.width != options_.width || canvas_.height != options_.height;
  for (int tries = 0;; ++tries) {
    const auto& color = colors[static_cast<size_t>(random_.Below(static_cast<int>(colors.size())))];
    // Between black bars a black picture has no visible border.
    if (has_bars && std::string_view(color.name) == "black") continue;
    const Rgb sample = DrawColor(color, random_);
    const bool clear = std::all_of(planned_.begin(), planned_.end(), [&](const Planned& planned) {
      return Contrasts(planned.sprite, sample);
    });
    if (!clear && tries < 12) continue;
    out_.color = &color;
    return PaintBackground(color, !options_.augment && random_.Chance(0.5), canvas_, random_);
  }
}

void Composer::DrawItems() {
  const size_t cells = static_cast<size_t>(grid_.rows) * grid_.columns;
  for (Planned& planned : planned_) {
    planned.item.coverage.assign(cells, 0);
    Draw(planned.sprite.raster, planned.pose, {}, canvas_, &grid_, &planned.item.coverage);
    out_.items.push_back(std::move(planned.item));
  }
}

// Writes a text that fits the band, with capitals at least a ninth of the picture's side high.
void Composer::WriteText(const Box& band, const Rgb& ground) {
  const int font = DrawFont(art_, options_.held_out_fonts, random_);
  const float spacing = random_.Chance(0.5) ? 0 : random_.Between(0, 0.15f) * kGlyphEm;
  const float angle = random_.Chance(0.5) ? random_.Between(-0.1f, 0.1f) : 0;
  const float c = std::abs(Cosine(angle)), s = std::abs(Sine(angle));
  Line line;
  float aspect = 1, most = 0;
  for (int longest = 6, tries = 0; most < least_text_; ++tries) {
    if (tries % 4 == 3 && longest > 1) --longest;
    line = SetLine(art_, font, DrawText(longest, random_), spacing);
    aspect = line.ink_width / line.cap_height;
    // 1.3: a "Q" goes below the line, a round "O" above the capitals.
    most = std::min(0.95f * band.width / (c * aspect + s * 1.3f),
                    0.94f * band.height / (s * aspect + c * 1.3f));
    if (tries >= 40) break;  // a picture too small for any text: as large as fits
  }
  const float least = std::min(least_text_, most);
  const float height = least + (most - least) * random_.Between(0, 1);
  const float width = height * aspect;
  const float spare_x = std::max(0.0f, (band.width - c * width - s * 1.3f * height) / 2 - 1);
  const float spare_y = std::max(0.0f, (band.height - s * width - c * 1.3f * height) / 2 - 1);
  const float drift = out_.layout == Layout::kText ? 1 : 0.45f;
  const float x = band.x + band.width / 2 + drift * random_.Between(-spare_x, spare_x);
  const float y = band.y + band.height / 2 + random_.Between(-spare_y, spare_y);
  Rgb under = ground;
  const float plate_width = width + 0.5f * height, plate_height = 1.5f * height;
  if (random_.Chance(0.3) && plate_width * plate_height < 0.4f * width_ * height_) {
    under = DrawContrast(ground, random_);
    DrawPlate(x, y, plate_width, plate_height, angle, under, canvas_);
  }
  out_.text = line.text;
  out_.text_height = height;
  out_.centers.resize(line.text.size());
  out_.characters.assign(line.text.size(),
                         Coverage(static_cast<size_t>(grid_.rows) * grid_.columns, 0.0f));
  DrawLine(art_, line, x, y, height, angle, DrawContrast(under, random_), canvas_, &grid_,
           &out_.characters, &out_.centers);
}

Composition Composer::Run(Layout layout) {
  out_.layout = layout;
  Box band{0, 0, width_, height_};
  if (layout == Layout::kSingle) PlanSingle();
  if (layout == Layout::kPair) PlanPair();
  if (layout == Layout::kGroup) PlanGroup();
  if (layout == Layout::kAlike) PlanAlike();
  if (layout == Layout::kTextAndThing) band = PlanTextAndThing();
  const Rgb ground = ChooseGround();
  DrawItems();
  if (layout == Layout::kText || layout == Layout::kTextAndThing) WriteText(band, ground);
  return std::move(out_);
}

}  // namespace

Composition Compose(const Art& art, const SceneOptions& options, Layout layout,
                    const CellGrid& grid, Canvas& canvas, Random& random) {
  return Composer(art, options, grid, canvas, random).Run(layout);
}

}  // namespace fastvlm::train
