#include "train/art/builder.h"

#include <atomic>
#include <map>
#include <mutex>

#include "base/printable.h"
#include "base/thread_pool.h"
#include "train/art/cache.h"
#include "train/art/icons.h"
#include "train/art/sprites.h"

namespace fastvlm::train {
namespace {

struct Job {
  size_t sprite = 0;  // concept * styles + style
  const IconSet* icons = nullptr;
  const IconSet* lines = nullptr;  // null: none
  std::string icon;
};

using IconSets = std::map<std::string, IconSet>;  // by package

// The packages a style is drawn from; `lines` is empty for a package's own style.
LinedStyle PackagesOf(const Style& style) {
  const LinedStyle* lined = FindLinedStyle(style.name);
  return lined != nullptr ? *lined : LinedStyle{style.name, style.name, ""};
}

Result<IconSets> OpenIconSets(const ArtSources& sources) {
  IconSets sets;
  for (const Style& style : sources.styles) {
    const LinedStyle packages = PackagesOf(style);
    for (const std::string& package : {packages.drawing, packages.lines}) {
      if (package.empty() || sets.contains(package)) continue;
      Result<IconSet> set = IconSet::Open(sources.icon_directory + "/" + package + "/icons.json");
      if (!set.ok()) {
        return Error(set.status().code(), "{}; fetch the art with: scripts/fetch-art.sh {}",
                     set.status().message(), sources.icon_directory);
      }
      sets.emplace(package, std::move(set).value());
    }
  }
  return sets;
}

Result<std::vector<Job>> PlanJobs(const ArtSources& sources, const IconSets& sets) {
  std::vector<Job> jobs;
  const size_t styles = sources.styles.size();
  for (size_t c = 0; c < sources.concepts.size(); ++c) {
    const ConceptRow& row = sources.concepts[c];
    bool in_training = false;
    for (size_t s = 0; s < styles; ++s) {
      const LinedStyle packages = PackagesOf(sources.styles[s]);
      const IconSet& icons = sets.at(packages.drawing);
      const IconSet* lines = packages.lines.empty() ? nullptr : &sets.at(packages.lines);
      for (const std::string& icon : row.IconsIn(packages.drawing)) {
        if (!icons.Has(icon) || (lines != nullptr && !lines->Has(icon))) continue;
        jobs.push_back({c * styles + s, &icons, lines, icon});
        in_training |= !sources.styles[s].held_out;
        break;
      }
    }
    if (!in_training) {
      return Error(StatusCode::kNotFound,
                   "no training style below {} has an icon for the concept {}; fetch the pinned "
                   "packages with scripts/fetch-art.sh or correct concepts.tsv",
                   sources.icon_directory, Quoted(row.about.name));
    }
  }
  return jobs;
}

Status RenderJob(const Job& job, CacheContents* contents) {
  FASTVLM_ASSIGN_OR_RETURN(const std::string svg, job.icons->Svg(job.icon));
  const std::string place = fmt::format("{}: icon {}", job.icons->path(), Quoted(job.icon));
  std::vector<uint8_t>& sprite = contents->sprites[job.sprite];
  FASTVLM_ASSIGN_OR_RETURN(sprite, RenderSvg(svg, kSpriteSide, place));
  if (job.lines == nullptr) return {};
  FASTVLM_ASSIGN_OR_RETURN(const std::string lines_svg, job.lines->Svg(job.icon));
  FASTVLM_ASSIGN_OR_RETURN(
      const std::vector<uint8_t> lines,
      RenderSvg(lines_svg, kSpriteSide,
                fmt::format("{}: icon {}", job.lines->path(), Quoted(job.icon))));
  DrawLines(lines, kSpriteSide, &sprite);
  return {};
}

Status RenderSprites(const std::vector<Job>& jobs, int threads, CacheContents* contents,
                     const std::function<void(int64_t, int64_t)>& progress) {
  ThreadPool pool(threads);
  std::mutex mutex;  // guards first_error
  Status first_error;
  std::atomic<bool> failed = false;
  std::atomic<int64_t> done = 0;
  pool.ParallelFor(int64_t(jobs.size()), [&](int64_t task, int thread) {
    if (failed) return;
    const Status status = RenderJob(jobs[size_t(task)], contents);
    const int64_t now = ++done;
    if (!status.ok()) {
      const std::lock_guard lock(mutex);
      if (!failed.exchange(true)) first_error = status;
    }
    if (thread == 0 && progress && now < int64_t(jobs.size())) progress(now, int64_t(jobs.size()));
  });
  if (first_error.ok() && progress) progress(done, int64_t(jobs.size()));
  return first_error;
}

}  // namespace

Result<ArtSources> DefaultSources() {
  ArtSources sources;
  FASTVLM_ASSIGN_OR_RETURN(sources.concepts, ParseConcepts(ConceptTable(), "concepts.tsv"));
  sources.styles = Styles();
  sources.fonts = FontFiles();
  sources.font_directory = "/usr/share/fonts";
  return sources;
}

Result<ArtReport> BuildCache(const ArtSources& sources, const std::string& output,
                             const std::function<void(int64_t, int64_t)>& progress) {
  CacheContents contents;
  for (const FontFile& font : sources.fonts) {
    FASTVLM_ASSIGN_OR_RETURN(const std::string path, FindFontFile(sources.font_directory, font));
    FASTVLM_ASSIGN_OR_RETURN(std::vector<RenderedGlyph> glyphs, RenderGlyphs(path));
    contents.fonts.push_back(font.font);
    contents.glyphs.push_back(std::move(glyphs));
  }
  FASTVLM_ASSIGN_OR_RETURN(const IconSets sets, OpenIconSets(sources));
  FASTVLM_ASSIGN_OR_RETURN(const std::vector<Job> jobs, PlanJobs(sources, sets));
  for (const ConceptRow& row : sources.concepts) contents.concepts.push_back(row.about);
  contents.styles = sources.styles;
  contents.sprites.resize(sources.concepts.size() * sources.styles.size());
  ArtReport report;
  FASTVLM_RETURN_IF_ERROR(RenderSprites(jobs, sources.threads, &contents, progress));
  report.sprites.resize(sources.styles.size());
  for (size_t i = 0; i < contents.sprites.size(); ++i) {
    if (!contents.sprites[i].empty()) ++report.sprites[i % sources.styles.size()];
  }
  FASTVLM_RETURN_IF_ERROR(WriteCache(output, std::move(contents)));
  return report;
}

}  // namespace fastvlm::train
