#include "hub/source.h"

#include <algorithm>
#include <cctype>

#include "base/printable.h"
#include "base/url.h"
#include "hub/model_files.h"

namespace fastvlm {
namespace {

constexpr std::string_view kAppleArchiveUrl = "https://ml-site.cdn-apple.com/datasets/fastvlm/";
constexpr std::string_view kHubUrl = "https://huggingface.co/";
constexpr std::string_view kAppleModels[] = {"FastVLM-0.5B", "FastVLM-1.5B", "FastVLM-7B"};
constexpr std::string_view kExpected =
    "expected a model of the Hugging Face hub such as apple/FastVLM-0.5B (or hf:owner/name, "
    "owner/name@revision), or the URL of a zip file";

Status Wrong(const std::string& text, std::string_view why) {
  return Error(StatusCode::kInvalidArgument, "{} {}; {}", Quoted(text), why, kExpected);
}

bool IsSafeRevision(std::string_view revision) {
  size_t start = 0;
  while (true) {
    const size_t slash = revision.find('/', start);
    if (!IsSafeName(revision.substr(start, slash - start))) return false;
    if (slash == std::string_view::npos) return true;
    start = slash + 1;
  }
}

Result<ModelSource> ParseHub(const std::string& text, std::string_view id) {
  ModelSource source;
  const size_t at = id.find('@');
  source.revision = at == std::string_view::npos ? "main" : id.substr(at + 1);
  source.repository = id.substr(0, at);
  const size_t slash = source.repository.find('/');
  if (slash == std::string::npos || !IsSafeName(source.repository.substr(0, slash)) ||
      !IsSafeName(source.repository.substr(slash + 1))) {
    return Wrong(text, "is not the name of a model");
  }
  if (!IsSafeRevision(source.revision)) return Wrong(text, "names no valid revision");
  source.name = source.repository;
  if (source.revision != "main") {
    source.name += "@" + source.revision;
    std::replace(source.name.begin() + static_cast<ptrdiff_t>(slash) + 1, source.name.end(), '/',
                 '+');
  }
  return source;
}

Result<ModelSource> ParseUrl(const std::string& text) {
  if (const Status url = CheckUrl(text); !url.ok()) {
    return Error(url.code(), "{}; {}", url.message(), kExpected);
  }
  if (text.starts_with(kHubUrl)) {
    std::string_view id = std::string_view(text).substr(kHubUrl.size());
    while (id.ends_with('/')) id.remove_suffix(1);
    return ParseHub(text, id);
  }
  const size_t host = text.find("//") + 2;
  const size_t path = text.find('/', host);
  const size_t query = std::min(text.find_first_of("?#"), text.size());
  const std::string_view name =
      path == std::string::npos || path > query
          ? std::string_view()
          : std::string_view(text).substr(0, query).substr(text.rfind('/', query - 1) + 1);
  if (!name.ends_with(".zip") || !IsSafeName(name) || path == host) {
    return Wrong(text, "is not the URL of a zip file");
  }
  ModelSource source;
  source.kind = ModelSource::Kind::kZip;
  source.url = text;
  source.name = text.starts_with(kAppleArchiveUrl) ? "apple/" : "zip/";
  source.name += name.substr(0, name.size() - 4);
  return source;
}

}  // namespace

const std::vector<std::string>& AppleArchives() {
  static const std::vector<std::string> kNames = {"llava-fastvithd_0.5b_stage2",
                                                  "llava-fastvithd_0.5b_stage3",
                                                  "llava-fastvithd_1.5b_stage2",
                                                  "llava-fastvithd_1.5b_stage3",
                                                  "llava-fastvithd_7b_stage2",
                                                  "llava-fastvithd_7b_stage3",
                                                  "llava-fastvithd_0.5b_stage3_llm.fp16",
                                                  "llava-fastvithd_1.5b_stage3_llm.int8",
                                                  "llava-fastvithd_7b_stage3_llm.int4"};
  return kNames;
}

Result<ModelSource> ParseModelSource(const std::string& text) {
  if (text.starts_with("https://") || text.starts_with("http://")) return ParseUrl(text);
  if (text.starts_with("hf:")) return ParseHub(text, std::string_view(text).substr(3));
  const std::vector<std::string>& archives = AppleArchives();
  const std::string_view alone =
      text.starts_with("apple/") ? std::string_view(text).substr(6) : text;
  if (std::find(archives.begin(), archives.end(), alone) != archives.end()) {
    return ParseUrl(std::string(kAppleArchiveUrl) + std::string(alone) + ".zip");
  }
  for (std::string_view model : kAppleModels) {
    if (text == model) return ParseHub(text, "apple/" + text);
  }
  return ParseHub(text, text);
}

bool IsFromApple(const ModelSource& source) { return source.name.starts_with("apple/"); }

}  // namespace fastvlm
