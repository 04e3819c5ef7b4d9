#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "train/art/art.h"
#include "train/commands.h"
#include "train/png_file.h"
#include "train/scene/scene.h"
#include "train/scene/usable.h"

namespace fastvlm::train {
namespace {

struct PreviewOptions {
  std::string art, output;
  std::string layout = "any";
  int count = 24;
  int columns = 6;
  uint64_t seed = 1;
  bool crops = false;
  double text_share = 0.4;
  SceneOptions scene;
};

const std::vector<std::pair<std::string, Layout>> kLayouts = {
    {"any", Layout::kAny},
    {"single", Layout::kSingle},
    {"pair", Layout::kPair},
    {"group", Layout::kGroup},
    {"alike", Layout::kAlike},
    {"text", Layout::kText},
    {"text-and-thing", Layout::kTextAndThing}};

constexpr int kGap = 4;  // pixels between pictures

// Pictures of one size in rows, on gray.
class Sheet {
 public:
  Sheet(int height, int width, int count, int columns)
      : height_(height), width_(width), columns_(std::min(columns, count)) {
    const int rows = (count + columns_ - 1) / columns_;
    sheet_width_ = columns_ * (width + kGap) + kGap;
    sheet_height_ = rows * (height + kGap) + kGap;
    pixels_.assign(static_cast<size_t>(sheet_width_) * sheet_height_ * 3, 128);
  }

  void Put(int index, const std::vector<uint8_t>& rgb) {
    const int x0 = kGap + index % columns_ * (width_ + kGap);
    const int y0 = kGap + index / columns_ * (height_ + kGap);
    for (int y = 0; y < height_; ++y) {
      std::memcpy(pixels_.data() + (static_cast<size_t>(y0 + y) * sheet_width_ + x0) * 3,
                  rgb.data() + static_cast<size_t>(y) * width_ * 3,
                  static_cast<size_t>(width_) * 3);
    }
  }

  Status Write(const std::string& path) const {
    return WritePng(path, pixels_, sheet_height_, sheet_width_);
  }

 private:
  int height_, width_, columns_;
  int sheet_width_ = 0, sheet_height_ = 0;
  std::vector<uint8_t> pixels_;
};

std::string DrawScene(const Art& art, const PreviewOptions& options, int index, Sheet& sheet) {
  const Scene scene = MakeScene(art, options.scene, options.seed + static_cast<uint64_t>(index));
  sheet.Put(index, scene.rgb);
  std::string text;
  for (const Turn& turn : scene.turns) {
    text += fmt::format("  {} -> {}\n", turn.question, turn.answer);
  }
  return text;
}

std::string DrawCrop(const Art& art, const PreviewOptions& options, int index, Sheet& sheet) {
  const SceneOptions& scene = options.scene;
  const Crop crop = MakeCrop(art, scene.width, options.text_share, scene.held_out_style,
                             scene.augment, options.seed + static_cast<uint64_t>(index));
  sheet.Put(index, crop.rgb);
  if (crop.concept_index < 0) return fmt::format("  text {}\n", crop.characters);
  return fmt::format("  {}\n", art.concepts()[static_cast<size_t>(crop.concept_index)].name);
}

Status RunPreview(PreviewOptions options) {
  for (const auto& [name, layout] : kLayouts) {
    if (name == options.layout) options.scene.layout = layout;
  }
  SceneOptions& scene = options.scene;
  if (options.crops) scene.height = scene.width;
  if (!options.crops && (scene.height % scene.cell != 0 || scene.width % scene.cell != 0)) {
    return Error(StatusCode::kInvalidArgument,
                 "--width {} and --height {} must be multiples of --cell {}", scene.width,
                 scene.height, scene.cell);
  }
  FASTVLM_ASSIGN_OR_RETURN(const Art art, Art::Open(options.art));
  FASTVLM_RETURN_IF_ERROR(CheckUsable(art, scene.held_out_style, scene.held_out_fonts));
  Sheet sheet(scene.height, scene.width, options.count, options.columns);
  for (int i = 0; i < options.count; ++i) {
    const std::string text =
        options.crops ? DrawCrop(art, options, i, sheet) : DrawScene(art, options, i, sheet);
    fmt::print("row {} column {} (seed {})\n{}", i / options.columns + 1, i % options.columns + 1,
               options.seed + static_cast<uint64_t>(i), text);
  }
  return sheet.Write(options.output);
}

}  // namespace

CommandFn AddPreview(CLI::App& app) {
  auto options = std::make_shared<PreviewOptions>();
  std::vector<std::string> names;
  for (const auto& [name, layout] : kLayouts) names.push_back(name);
  app.add_option("--art", options->art, "Art cache of `fastvlm-train art`")->required();
  app.add_option("--output", options->output, "PNG to write")->required();
  app.add_option("--layout", options->layout, "What the pictures show")
      ->check(CLI::IsMember(names))
      ->capture_default_str();
  app.add_option("--count", options->count, "Pictures")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--columns", options->columns, "Pictures in a row")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  app.add_option("--seed", options->seed, "Of the first picture; the next follow")
      ->capture_default_str();
  SceneOptions& scene = options->scene;
  app.add_option("--width", scene.width, "Pixels")
      ->check(CLI::Range(32, 1024))
      ->capture_default_str();
  app.add_option("--height", scene.height, "Pixels")
      ->check(CLI::Range(32, 1024))
      ->capture_default_str();
  app.add_option("--cell", scene.cell, "Pixels per visual token and side")
      ->check(CLI::Range(8, 1024))
      ->capture_default_str();
  app.add_option("--turns", scene.turns, "Questions per picture, at most")
      ->check(CLI::Range(1, 32))
      ->capture_default_str();
  app.add_flag("--held-out-style", scene.held_out_style, "Sprites of the styles kept for tests");
  app.add_flag("--held-out-fonts", scene.held_out_fonts, "Fonts kept for tests");
  app.add_flag("!--no-augment", scene.augment, "Without jitter of colours, outlines and noise");
  app.add_flag("--pad", scene.pad, "Some with black bars");
  app.add_flag("--crops", options->crops, "Close-ups as the encoder sees them first; --width wide");
  return [options] { return RunPreview(*options); };
}

}  // namespace fastvlm::train
