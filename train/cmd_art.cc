#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "train/art/art.h"
#include "train/art/builder.h"
#include "train/art/sheet.h"
#include "train/commands.h"

namespace fastvlm::train {
namespace {

struct ArtOptions {
  std::string icons = "build/art";
  std::string fonts = "/usr/share/fonts";
  std::string output;
  std::string sheet;
  int threads = 2;
  int every = 1;
};

void ShowProgress(int64_t rendered, int64_t all) {
  fmt::print(stderr, "\rrendering {}/{} ", rendered, all);
  if (rendered == all) fmt::print(stderr, "\n");
  std::fflush(stderr);
}

Status RunArt(const ArtOptions& options) {
  FASTVLM_ASSIGN_OR_RETURN(ArtSources sources, DefaultSources());
  sources.icon_directory = options.icons;
  sources.font_directory = options.fonts;
  sources.threads = options.threads;
  std::vector<ConceptRow> some;
  for (size_t i = 0; i < sources.concepts.size(); i += static_cast<size_t>(options.every)) {
    some.push_back(sources.concepts[i]);
  }
  sources.concepts = std::move(some);
  const bool terminal = isatty(STDERR_FILENO) != 0;
  FASTVLM_ASSIGN_OR_RETURN(
      const ArtReport report,
      BuildCache(sources, options.output,
                 terminal ? ShowProgress : std::function<void(int64_t, int64_t)>()));
  // Reading it back proves that it was written whole.
  FASTVLM_ASSIGN_OR_RETURN(const Art art, Art::Open(options.output));
  fmt::print("{}: {} concepts, {} fonts; sprites:", options.output, art.concepts().size(),
             art.fonts().size());
  for (size_t i = 0; i < art.styles().size(); ++i) {
    const Style& style = art.styles()[i];
    fmt::print(" {} {}{}", style.name, report.sprites[i],
               style.held_out        ? " (held out)"
               : style.training_only ? " (training only)"
                                     : "");
  }
  fmt::print("\n");
  return options.sheet.empty() ? Status() : WriteSheet(art, options.sheet);
}

}  // namespace

CommandFn AddArt(CLI::App& app) {
  auto options = std::make_shared<ArtOptions>();
  app.add_option("--icons", options->icons, "Folder that scripts/fetch-art.sh filled")
      ->capture_default_str();
  app.add_option("--fonts", options->fonts, "Folder to search for the font files")
      ->capture_default_str();
  app.add_option("--output", options->output, "Cache file to write")->required();
  app.add_option("--sheet", options->sheet, "Also write a contact sheet, a PNG to look at");
  app.add_option("--threads", options->threads, "Threads that render")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_option("--every", options->every, "Only every Nth thing, for quick experiments")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  return [options] { return RunArt(*options); };
}

}  // namespace fastvlm::train
