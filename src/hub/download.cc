#include "hub/download.h"

#include <unistd.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/file.h"
#include "base/json.h"
#include "hub/file_ops.h"

namespace fastvlm {
namespace {

constexpr size_t kMaxNoteBytes = size_t{1} << 16;
// The most bytes of a file whose size nobody has told before: more than any model has, less than
// what fills a disk.
constexpr int64_t kMaxUnknownBytes = int64_t{64} << 30;

// Says which file PATH.part is a part of.
struct PartNote {
  std::string url;
  std::string digest;     // hexadecimal, "" if unknown
  std::string validator;  // the server's ETag or date
};

PartNote ReadPartNote(const std::string& path) {
  PartNote note;
  const auto object = ReadJsonObject(path, kMaxNoteBytes);
  if (!object.ok()) return note;  // an empty note, with which the part is not trusted
  const JsonFields fields(*object, path);
  const auto read = [&](const char* name) {
    Result<std::string> text = fields.StringOr(name, "");
    return text.ok() ? std::move(text).value() : std::string();
  };
  note.url = read("url");
  note.digest = read("digest");
  note.validator = read("validator");
  return note;
}

Status WritePartNote(const std::string& path, const PartNote& note) {
  const nlohmann::ordered_json object = {
      {"url", note.url}, {"digest", note.digest}, {"validator", note.validator}};
  const std::string text = object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  return WriteFileAtomically(path, {&bytes, 1});
}

class Downloader {
 public:
  Downloader(const Download& download, const HttpOptions& options,
             const DownloadProgressFn& progress, const DownloadSizeFn& size_known)
      : download_(download),
        options_(options),
        progress_(progress),
        size_known_(size_known),
        total_(download.size),
        part_(download.path + ".part"),
        note_path_(part_ + ".json"),
        digest_(DigestKind::kNone, 0) {}

  // `fresh`: does not build on an earlier part. `resumed` says whether it did.
  Status Run(bool fresh, bool* resumed);

 private:
  Status OpenPart(bool fresh);
  Status Begin(const HttpResponse& response);
  Status Data(std::span<const uint8_t> bytes);
  Status Finish();
  Status Restart();
  void RemovePart() const {
    unlink(part_.c_str());
    unlink(note_path_.c_str());
  }
  bool complete() const { return total_ >= 0 && file_->size() == total_; }
  Status SizeError(int64_t found) const {
    return Error(StatusCode::kDataError, "{}: expected {} bytes, found {}{}", download_.url, total_,
                 found, "; the file at the server is not the one that was announced");
  }

  const Download& download_;
  const HttpOptions& options_;
  const DownloadProgressFn& progress_;
  const DownloadSizeFn& size_known_;
  int64_t total_;
  std::string part_;
  std::string note_path_;
  Digest digest_;
  PartNote note_;
  std::optional<OutputFile> file_;
};

Status Downloader::Restart() {
  digest_ = Digest(download_.digest.kind, download_.size);
  return file_->size() == 0 ? Status() : file_->Truncate();
}

Status Downloader::OpenPart(bool fresh) {
  note_ = ReadPartNote(note_path_);
  const bool same = !download_.digest.hex.empty()
                        ? note_.digest == download_.digest.hex
                        : note_.url == download_.url && !note_.validator.empty();
  int64_t keep = fresh || !same ? 0 : std::max<int64_t>(0, FileSize(part_));
  if (total_ >= 0 && keep > total_) keep = 0;
  if (keep == 0) note_.validator.clear();
  FASTVLM_ASSIGN_OR_RETURN(OutputFile file, OutputFile::Open(part_, keep));
  file_.emplace(std::move(file));
  digest_ = Digest(download_.digest.kind, download_.size);
  if (keep > 0 && download_.digest.kind != DigestKind::kNone) {
    FASTVLM_ASSIGN_OR_RETURN(const MappedFile part, MappedFile::Open(part_));
    digest_.Update(part.bytes());
  }
  note_.url = download_.url;
  note_.digest = download_.digest.hex;
  return WritePartNote(note_path_, note_);
}

Status Downloader::Begin(const HttpResponse& response) {
  int64_t size = response.length;
  if (response.status == 206) {
    if (response.range_start != file_->size()) {
      return Error(StatusCode::kDataError,
                   "{}: asked for bytes from {} on, the server sends from {}", download_.url,
                   file_->size(), response.range_start);
    }
    size = response.range_total;
  } else if (file_->size() > 0) {  // the whole file: another one, or a server without ranges
    FASTVLM_RETURN_IF_ERROR(Restart());
  }
  if (total_ < 0 && size > kMaxUnknownBytes) {
    return Error(StatusCode::kResourceExhausted, "{}: {} bytes, more than the limit of {}",
                 download_.url, size, kMaxUnknownBytes);
  }
  if (total_ < 0 && size >= 0) {
    total_ = size;
    if (size_known_) FASTVLM_RETURN_IF_ERROR(size_known_(size));
  }
  if (size >= 0 && size != total_) {
    if (download_.size >= 0) return SizeError(size);
    total_ = size;  // the file has changed meanwhile and is fetched anew
  }
  if (response.validator != note_.validator) {
    note_.validator = response.validator;
    FASTVLM_RETURN_IF_ERROR(WritePartNote(note_path_, note_));
  }
  if (progress_) progress_(file_->size(), total_);
  return {};
}

Status Downloader::Data(std::span<const uint8_t> bytes) {
  const int64_t limit = total_ >= 0 ? total_ : kMaxUnknownBytes;
  const int64_t size = file_->size() + static_cast<int64_t>(bytes.size());
  if (size > limit) {
    RemovePart();
    return Error(StatusCode::kDataError, "{}: expected {} bytes, the server sends more",
                 download_.url, limit);
  }
  FASTVLM_RETURN_IF_ERROR(file_->Write(bytes));
  digest_.Update(bytes);
  if (progress_) progress_(size, total_);
  return {};
}

Status Downloader::Finish() {
  if (total_ >= 0 && file_->size() != total_) return SizeError(file_->size());
  const std::string found = digest_.Hex();
  if (found != download_.digest.hex) {
    RemovePart();
    return Error(StatusCode::kDataError,
                 "{}: wrong checksum: expected {} {}, found {}; the download is damaged or not the "
                 "announced file, and was thrown away",
                 download_.url,
                 download_.digest.kind == DigestKind::kSha256 ? "SHA-256" : "git SHA-1",
                 download_.digest.hex, found);
  }
  FASTVLM_RETURN_IF_ERROR(file_->Sync());
  FASTVLM_RETURN_IF_ERROR(RenamePath(part_, download_.path));
  // Without a digest the note is all that says what the file is.
  if (download_.digest.kind != DigestKind::kNone) unlink(note_path_.c_str());
  return {};
}

Status Downloader::Run(bool fresh, bool* resumed) {
  FASTVLM_RETURN_IF_ERROR(OpenPart(fresh));
  *resumed = file_->size() > 0;
  Backoff backoff(options_);
  bool connected = false;
  while (!complete()) {
    HttpRequest request{download_.url, download_.token, {}};
    const int64_t before = file_->size();
    if (before > 0) {
      request.headers.push_back(fmt::format("Range: bytes={}-", before));
      if (!note_.validator.empty()) request.headers.push_back("If-Range: " + note_.validator);
    }
    const HttpOutcome outcome = HttpGet(
        request, options_, [this](const HttpResponse& response) { return Begin(response); },
        [this](std::span<const uint8_t> bytes) { return Data(bytes); });
    connected = connected || outcome.connected;
    if (outcome.status.ok()) break;
    if (outcome.response.status == 416 && before > 0) {  // no such range: not the same file
      FASTVLM_RETURN_IF_ERROR(Restart());
      note_.validator.clear();
      continue;
    }
    if (file_->size() > before) backoff.Reset();
    if (!connected || !backoff.Wait(outcome)) {
      if (options_.stop && options_.stop()) {
        return Status(StatusCode::kCancelled, download_.url + ": stopped");
      }
      return outcome.status;
    }
  }
  return Finish();
}

// Whether the file is there already. One of other contents, from an earlier version, is removed.
bool IsComplete(const Download& download) {
  const int64_t size = FileSize(download.path);
  if (size < 0) return false;
  if (size == download.size || download.size < 0) {
    if (download.digest.kind == DigestKind::kNone) {
      if (ReadPartNote(download.path + ".part.json").url == download.url) return true;
    } else {
      const Result<std::string> found = FileDigest(download.path, download.digest.kind);
      if (found.ok() && *found == download.digest.hex) return true;
    }
  }
  unlink(download.path.c_str());
  return false;
}

}  // namespace

Status DownloadFile(const Download& download, const HttpOptions& options,
                    const DownloadProgressFn& progress, const DownloadSizeFn& size_known) {
  if (IsComplete(download)) return {};
  bool resumed = false;
  Status status = Downloader(download, options, progress, size_known).Run(false, &resumed);
  // A part that is damaged on the disk, or of another file, must not make every later pull fail.
  if (resumed && status.code() == StatusCode::kDataError) {
    status = Downloader(download, options, progress, size_known).Run(true, &resumed);
  }
  return status;
}

int64_t DownloadedBytes(const Download& download) {
  const int64_t complete = FileSize(download.path);
  return complete >= 0 ? complete : std::max<int64_t>(0, FileSize(download.path + ".part"));
}

}  // namespace fastvlm
