#include "hub/pull.h"

#include <fmt/chrono.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>

#include "base/file.h"
#include "base/printable.h"
#include "base/url.h"
#include "hub/download.h"
#include "hub/file_ops.h"
#include "hub/hub_api.h"
#include "hub/model_files.h"
#include "hub/zip.h"

namespace fastvlm {
namespace {

constexpr size_t kMaxListingBytes = size_t{64} << 20;
constexpr size_t kMaxLicenceBytes = size_t{1} << 20;
constexpr int64_t kMargin = int64_t{16} << 20;  // bytes of free space that are left alone
constexpr const char* kArchiveName = "archive.zip";

std::string Now() {
  return fmt::format(
      "{:%Y-%m-%dT%H:%M:%SZ}",
      fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())));
}

std::string SourceText(const ModelSource& source) {
  return source.kind == ModelSource::Kind::kZip
             ? source.url
             : fmt::format("hf:{}@{}", source.repository, source.revision);
}

// A token must not cross a network in plain text.
Status CheckEndpoint(const PullOptions& options) {
  const Status url = CheckUrl(options.endpoint);
  if (!url.ok())
    return Status(url.code(), "HF_ENDPOINT: " + url.message() + "; HF_TOKEN names a token");
  const bool https = options.endpoint.starts_with("https://");
  if (!https && !options.endpoint.starts_with("http://")) {
    return Error(StatusCode::kInvalidArgument,
                 "HF_ENDPOINT is {}; expected a URL such as https://huggingface.co",
                 Quoted(options.endpoint));
  }
  if (https || options.token.empty()) return {};
  const std::string_view host = std::string_view(options.endpoint).substr(7);
  const auto is = [&](std::string_view name) {
    return host.starts_with(name) &&
           (host.size() == name.size() || host[name.size()] == ':' || host[name.size()] == '/');
  };
  if (is("localhost") || is("127.0.0.1") || is("[::1]")) return {};
  return Error(StatusCode::kInvalidArgument,
               "HF_ENDPOINT is {}: HF_TOKEN is sent over https only; use https or unset HF_TOKEN",
               Quoted(options.endpoint));
}

class Puller {
 public:
  Puller(const ModelSource& source, const ModelCache& cache, const PullOptions& options,
         const PullEvents& events)
      : source_(source),
        cache_(cache),
        options_(options),
        events_(events),
        partial_(cache.PartialDirectory(source.name)),
        directory_(cache.ModelDirectory(source.name)) {
    http_ = options.http;
    http_.note = events.note;
    manifest_.source = SourceText(source);
  }

  Result<PulledModel> Run();

 private:
  Status PullFromHub(bool* was_there);
  Status PullArchive(bool* was_there);
  bool IsCached(const std::string& revision, const std::vector<CachedFile>& files) const;
  void ReuseUnchanged(const std::vector<CachedFile>& files) const;
  Status CheckSpace(int64_t needed, const std::string& what) const;
  Status ShowLicence(const std::string& path) const;
  Status Unpack(const std::string& archive, bool* refused);
  Status Publish();
  void Progress(const std::string& file, int64_t done, int64_t total) const {
    if (events_.progress) events_.progress(file, done, total);
  }
  Status CheckStop() const {
    if (http_.stop && http_.stop())
      return Status(StatusCode::kCancelled, source_.name + ": stopped");
    return {};
  }

  const ModelSource& source_;
  const ModelCache& cache_;
  const PullOptions& options_;
  const PullEvents& events_;
  HttpOptions http_;
  std::string partial_;
  std::string directory_;
  Manifest manifest_;
};

Status Puller::CheckSpace(int64_t needed, const std::string& what) const {
  FASTVLM_ASSIGN_OR_RETURN(const int64_t free_bytes, options_.free_bytes
                                                         ? options_.free_bytes(partial_)
                                                         : FreeBytes(partial_));
  if (needed <= 0 || needed + kMargin <= free_bytes) return {};
  return Error(StatusCode::kResourceExhausted,
               "{}: {} needs {} of free space, there are {}; free some, or let XDG_CACHE_HOME name "
               "a directory on another disk",
               cache_.root(), what, ByteText(needed + kMargin), ByteText(free_bytes));
}

bool Puller::IsCached(const std::string& revision, const std::vector<CachedFile>& files) const {
  const Result<Manifest> manifest = ReadManifest(directory_);
  if (!manifest.ok() || manifest->revision != revision) return false;
  return std::all_of(files.begin(), files.end(), [&](const CachedFile& file) {
    return FileSize(directory_ + "/" + file.name) == file.size;
  });
}

// A file that an older version has as well becomes part of the new version without being fetched:
// both directories name the same file, which nobody writes to.
void Puller::ReuseUnchanged(const std::vector<CachedFile>& files) const {
  const Result<Manifest> old = ReadManifest(directory_);
  if (!old.ok()) return;
  for (const CachedFile& file : files) {
    for (const CachedFile& had : old->files) {
      if (had.name != file.name || had.digest.hex != file.digest.hex || had.digest.hex.empty()) {
        continue;
      }
      std::error_code ignored;  // it is fetched then
      std::filesystem::create_hard_link(directory_ + "/" + file.name, partial_ + "/" + file.name,
                                        ignored);
    }
  }
}

Status Puller::ShowLicence(const std::string& path) const {
  FASTVLM_ASSIGN_OR_RETURN(const std::string digest, FileDigest(path, DigestKind::kSha256));
  const std::string shown = cache_.LicencePath(digest);
  if (FileExists(shown) || !events_.licence) return {};
  FASTVLM_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path, kMaxLicenceBytes));
  if (!events_.licence(text)) {
    return Status(StatusCode::kCancelled, source_.name + ": the licence was not accepted");
  }
  FASTVLM_RETURN_IF_ERROR(MakeDirectories(cache_.root() + "/licences"));
  const std::string note = source_.name + " " + Now() + "\n";
  const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(note.data()), note.size());
  return WriteFileAtomically(shown, {&bytes, 1});
}

Status Puller::PullFromHub(bool* was_there) {
  FASTVLM_RETURN_IF_ERROR(CheckEndpoint(options_));
  const std::string url = ListingUrl(options_.endpoint, source_);
  FASTVLM_ASSIGN_OR_RETURN(const std::string text,
                           FetchText({url, options_.token, {}}, kMaxListingBytes, http_));
  FASTVLM_ASSIGN_OR_RETURN(const HubListing listing, ParseHubListing(text, url));
  std::vector<std::string> names;
  std::map<std::string, const HubFile*> by_name;
  for (const HubFile& file : listing.files) {
    names.push_back(file.name);
    by_name[file.name] = &file;
  }
  FASTVLM_ASSIGN_OR_RETURN(std::vector<std::string> selected,
                           SelectModelFiles(names, SourceText(source_)));
  // The licence comes first: it may be refused.
  std::stable_partition(selected.begin(), selected.end(), IsLicenceFile);
  PullPlan plan{source_.name, listing.licence, static_cast<int>(selected.size()), 0, 0};
  std::vector<Download> downloads;
  for (const std::string& name : selected) {
    const HubFile& file = *by_name.at(name);
    manifest_.files.push_back({name, file.size, file.digest});
    plan.bytes += file.size;
    downloads.push_back({FileUrl(options_.endpoint, source_, listing.commit, name), options_.token,
                         partial_ + "/" + name, file.size, file.digest});
  }
  manifest_.revision = listing.commit;
  manifest_.licence = listing.licence;
  *was_there = IsCached(listing.commit, manifest_.files);
  if (*was_there) return {};
  ReuseUnchanged(manifest_.files);
  for (const Download& download : downloads) {
    plan.already_there += std::min(download.size, DownloadedBytes(download));
  }
  if (events_.planned) events_.planned(plan);
  FASTVLM_RETURN_IF_ERROR(CheckSpace(plan.bytes - plan.already_there, "the model"));
  int64_t before = 0;
  for (size_t i = 0; i < downloads.size(); ++i) {
    FASTVLM_RETURN_IF_ERROR(CheckStop());
    FASTVLM_RETURN_IF_ERROR(DownloadFile(downloads[i], http_, [&](int64_t done, int64_t) {
      Progress(selected[i], before + done, plan.bytes);
    }));
    if (IsLicenceFile(selected[i])) FASTVLM_RETURN_IF_ERROR(ShowLicence(downloads[i].path));
    before += downloads[i].size;
    Progress(selected[i], before, plan.bytes);
  }
  return {};
}

Status Puller::Unpack(const std::string& archive, bool* refused) {
  *refused = true;  // until it is seen to be a model
  FASTVLM_ASSIGN_OR_RETURN(const ZipReader zip, ZipReader::Open(archive));
  FASTVLM_ASSIGN_OR_RETURN(const ZipModel model, zip.FindModel());
  *refused = false;
  FASTVLM_RETURN_IF_ERROR(CheckSpace(model.bytes, "unpacking the model"));
  int64_t done = 0;
  for (size_t i = 0; i < model.files.size(); ++i) {
    const std::string path = partial_ + "/" + model.names[i];
    FASTVLM_ASSIGN_OR_RETURN(OutputFile file, OutputFile::Open(path + ".part", 0));
    Digest digest(DigestKind::kSha256, model.files[i].size);
    const auto write = [&](std::span<const uint8_t> bytes) {
      FASTVLM_RETURN_IF_ERROR(CheckStop());
      digest.Update(bytes);
      done += static_cast<int64_t>(bytes.size());
      Progress(model.names[i], done, model.bytes);
      return file.Write(bytes);
    };
    FASTVLM_RETURN_IF_ERROR(zip.Read(model.files[i], write));
    FASTVLM_RETURN_IF_ERROR(file.Sync());
    FASTVLM_RETURN_IF_ERROR(RenamePath(path + ".part", path));
    manifest_.files.push_back(
        {model.names[i], model.files[i].size, {DigestKind::kSha256, digest.Hex()}});
    if (IsLicenceFile(model.names[i])) FASTVLM_RETURN_IF_ERROR(ShowLicence(path));
  }
  return {};
}

Status Puller::PullArchive(bool* was_there) {
  const Result<Manifest> cached = ReadManifest(directory_);
  *was_there = cached.ok() && cached->source == manifest_.source &&
               (options_.sha256.empty() || options_.sha256 == cached->revision) &&
               IsCached(cached->revision, cached->files);
  if (*was_there) return {};
  Download download{source_.url, "", partial_ + "/" + kArchiveName, -1, {}};
  if (!options_.sha256.empty()) download.digest = {DigestKind::kSha256, options_.sha256};
  PullPlan plan{source_.name, "", 1, -1, DownloadedBytes(download)};
  if (events_.planned) events_.planned(plan);
  // The archive and its files are on the disk at the same time, and weights hardly shrink.
  const auto size_known = [&](int64_t bytes) {
    return CheckSpace(2 * bytes - DownloadedBytes(download), "the archive and what is in it");
  };
  FASTVLM_RETURN_IF_ERROR(DownloadFile(
      download, http_, [&](int64_t done, int64_t total) { Progress(kArchiveName, done, total); },
      size_known));
  FASTVLM_ASSIGN_OR_RETURN(manifest_.revision, FileDigest(download.path, DigestKind::kSha256));
  bool refused = false;
  const Status status = Unpack(download.path, &refused);
  // Of an archive that is refused nothing is kept, and it is fetched anew next time. One whose
  // files did not fit, or that was stopped, is kept.
  if (refused || status.code() == StatusCode::kDataError ||
      status.code() == StatusCode::kUnsupported) {
    FASTVLM_RETURN_IF_ERROR(RemoveTree(partial_));
  }
  if (status.ok()) {
    unlink(download.path.c_str());
    unlink((download.path + ".part.json").c_str());
  }
  return status;
}

// Puts the new version in the place of the old one, if there is one.
Status Puller::Publish() {
  manifest_.pulled = Now();
  // What an earlier, different version left behind.
  std::error_code error;
  std::vector<std::filesystem::path> strays;
  for (std::filesystem::directory_iterator it(partial_, error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (std::none_of(manifest_.files.begin(), manifest_.files.end(),
                     [&](const CachedFile& file) { return file.name == name; })) {
      strays.push_back(it->path());
    }
  }
  for (const auto& stray : strays) FASTVLM_RETURN_IF_ERROR(RemoveTree(stray.string()));
  FASTVLM_RETURN_IF_ERROR(WriteManifest(partial_, manifest_));
  FASTVLM_RETURN_IF_ERROR(
      MakeDirectories(std::filesystem::path(directory_).parent_path().string()));
  const std::string old = cache_.OldDirectory(source_.name);
  FASTVLM_RETURN_IF_ERROR(MakeDirectories(std::filesystem::path(old).parent_path().string()));
  FASTVLM_RETURN_IF_ERROR(RemoveTree(old));
  FASTVLM_RETURN_IF_ERROR(ReplaceDirectory(partial_, directory_, old));
  // One of these is the version that was replaced.
  FASTVLM_RETURN_IF_ERROR(RemoveTree(partial_));
  std::filesystem::remove(std::filesystem::path(partial_).parent_path(), error);
  return RemoveTree(old);
}

Result<PulledModel> Puller::Run() {
  FASTVLM_RETURN_IF_ERROR(MakeDirectories(cache_.root() + "/locks"));
  const auto waiting = [&] {
    if (events_.note) {
      events_.note(fmt::format("another fastvlm is fetching {}; waiting for it", source_.name));
    }
  };
  FASTVLM_ASSIGN_OR_RETURN(const FileLock lock,
                           FileLock::Acquire(cache_.LockPath(source_.name), waiting, http_.stop));
  FASTVLM_RETURN_IF_ERROR(RestoreDirectory(directory_, cache_.OldDirectory(source_.name)));
  // What a newer program made is not replaced by an older one without being asked.
  const Status cached = ReadManifest(directory_).status();
  if (cached.code() == StatusCode::kUnsupported) return cached;
  FASTVLM_RETURN_IF_ERROR(MakeDirectories(partial_));
  PulledModel pulled{source_.name, directory_, 0, false};
  const Status status = source_.kind == ModelSource::Kind::kHub ? PullFromHub(&pulled.was_there)
                                                                : PullArchive(&pulled.was_there);
  if (status.ok() && !pulled.was_there) FASTVLM_RETURN_IF_ERROR(Publish());
  // Of an earlier version, or a version that was replaced just before a pull was ended.
  if (pulled.was_there) FASTVLM_RETURN_IF_ERROR(RemoveTree(partial_));
  // An attempt that fetched nothing leaves nothing behind.
  std::error_code ignored;
  std::filesystem::remove(partial_, ignored);
  std::filesystem::remove(std::filesystem::path(partial_).parent_path(), ignored);
  FASTVLM_RETURN_IF_ERROR(status);
  FASTVLM_ASSIGN_OR_RETURN(const Manifest manifest, ReadManifest(directory_));
  for (const CachedFile& file : manifest.files) pulled.bytes += file.size;
  return pulled;
}

}  // namespace

Result<PulledModel> PullModel(const ModelSource& source, const ModelCache& cache,
                              const PullOptions& options, const PullEvents& events) {
  return Puller(source, cache, options, events).Run();
}

}  // namespace fastvlm
