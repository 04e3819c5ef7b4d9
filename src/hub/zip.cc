#include "hub/zip.h"

#include <zip.h>

#include <array>
#include <map>

#include "base/printable.h"
#include "hub/model_files.h"

namespace fastvlm {
namespace {

constexpr int64_t kMaxEntries = 100'000;
constexpr uint64_t kMaxEntryBytes = uint64_t{1} << 40;
// Weights and JSON shrink to a quarter at most; a bomb of zeros shrinks a thousandfold.
constexpr uint64_t kMaxRatio = 100;
constexpr uint64_t kFreeBytes = uint64_t{1} << 20;  // so little is no danger at any ratio
constexpr size_t kUnpackBytes = size_t{1} << 20;

Status ZipError(const std::string& path, const char* action, int code) {
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  const Status status =
      Error(code == ZIP_ER_ENCRNOTSUPP || code == ZIP_ER_NOPASSWD || code == ZIP_ER_COMPNOTSUPP
                ? StatusCode::kUnsupported
                : StatusCode::kDataError,
            "{}: cannot {}: {}; the archive is damaged, cut off or no zip file", path, action,
            zip_error_strerror(&error));
  zip_error_fini(&error);
  return status;
}

// Whether a name stays below the directory it is unpacked into.
bool StaysInside(std::string_view name) {
  if (name.empty() || name.front() == '/' || name.find('\\') != std::string_view::npos)
    return false;
  if (name.size() > 1 && name[1] == ':') return false;  // a drive
  size_t start = 0;
  while (start <= name.size()) {
    const size_t slash = std::min(name.find('/', start), name.size());
    if (name.substr(start, slash - start) == "..") return false;
    start = slash + 1;
  }
  return true;
}

}  // namespace

void ZipReader::Close::operator()(::zip* archive) const { zip_discard(archive); }
ZipReader::ZipReader(ZipReader&&) noexcept = default;
ZipReader::~ZipReader() = default;

Result<ZipReader> ZipReader::Open(const std::string& path) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_file_create(path.c_str(), 0, -1, &error);
  const int code = zip_error_code_zip(&error);
  zip_error_fini(&error);
  if (source == nullptr) return ZipError(path, "open it", code);
  return Create(source, path);
}

Result<ZipReader> ZipReader::FromMemory(std::span<const uint8_t> bytes, const std::string& name) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
  const int code = zip_error_code_zip(&error);
  zip_error_fini(&error);
  if (source == nullptr) return ZipError(name, "open it", code);
  return Create(source, name);
}

Result<ZipReader> ZipReader::Create(void* source, const std::string& name) {
  zip_error_t error;
  zip_error_init(&error);
  ZipReader reader;
  reader.path_ = name;
  reader.archive_.reset(
      zip_open_from_source(static_cast<zip_source_t*>(source), ZIP_RDONLY, &error));
  const int code = zip_error_code_zip(&error);
  zip_error_fini(&error);
  if (reader.archive_ == nullptr) {
    zip_source_free(static_cast<zip_source_t*>(source));
    return ZipError(name, "open it", code);
  }
  FASTVLM_RETURN_IF_ERROR(reader.ReadDirectory());
  return reader;
}

Status ZipReader::ReadDirectory() {
  const int64_t count = zip_get_num_entries(archive_.get(), 0);
  if (count > kMaxEntries) {
    return Error(StatusCode::kResourceExhausted, "{}: {} files, more than the limit of {}", path_,
                 count, kMaxEntries);
  }
  for (int64_t i = 0; i < count; ++i) {
    zip_stat_t info;
    const uint64_t index = static_cast<uint64_t>(i);
    const uint64_t needed = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE;
    if (zip_stat_index(archive_.get(), index, ZIP_FL_ENC_GUESS, &info) != 0 ||
        (info.valid & needed) != needed) {
      return ZipError(path_, fmt::format("read entry {}", i).c_str(),
                      zip_error_code_zip(zip_get_error(archive_.get())));
    }
    const std::string_view name = info.name;
    if (!StaysInside(name)) {
      return Error(StatusCode::kDataError,
                   "{}: it holds {}, a name that leads out of its directory; nothing was unpacked, "
                   "do not trust this archive",
                   path_, Quoted(name));
    }
    if (name.back() == '/') continue;
    if (info.size > kMaxEntryBytes ||
        (info.size > kFreeBytes && info.size / kMaxRatio > info.comp_size)) {
      return Error(StatusCode::kResourceExhausted,
                   "{}: {} would unpack from {} to {} bytes; nothing was unpacked, do not trust "
                   "this archive",
                   path_, Quoted(name), info.comp_size, info.size);
    }
    entries_.push_back({std::string(name), static_cast<int64_t>(info.size), index});
  }
  return {};
}

Result<ZipModel> ZipReader::FindModel() const {
  std::map<std::string, std::vector<std::string>> folders;
  for (const ZipEntry& entry : entries_) {
    const size_t slash = entry.name.rfind('/');
    const std::string folder = slash == std::string::npos ? "" : entry.name.substr(0, slash + 1);
    // macOS puts a shadow of every file there.
    if (folder.starts_with("__MACOSX/")) continue;
    folders[folder].push_back(entry.name.substr(folder.size()));
  }
  ZipModel model;
  Status none = Error(StatusCode::kUnsupported, "{}: no model: the archive is empty", path_);
  for (const auto& [folder, names] : folders) {
    const Result<std::vector<std::string>> selected =
        SelectModelFiles(names, fmt::format("{}: {}", path_, Printable(folder)));
    if (!selected.ok()) {
      none = selected.status();
      continue;
    }
    if (!model.names.empty()) {
      return Error(StatusCode::kUnsupported, "{}: more than one model, in {} and {}", path_,
                   Quoted(model.folder), Quoted(folder));
    }
    model.folder = folder;
    model.names = *selected;
  }
  if (model.names.empty()) return none;
  for (const std::string& name : model.names) {
    for (const ZipEntry& entry : entries_) {
      if (entry.name != model.folder + name) continue;
      model.files.push_back(entry);
      model.bytes += entry.size;
      break;
    }
  }
  return model;
}

Status ZipReader::Read(const ZipEntry& entry, const ZipDataFn& data) const {
  const std::string what = fmt::format("unpack {}", Quoted(entry.name));
  zip_file_t* file = zip_fopen_index(archive_.get(), entry.index, 0);
  if (file == nullptr) {
    return ZipError(path_, what.c_str(), zip_error_code_zip(zip_get_error(archive_.get())));
  }
  const std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> closer(file, zip_fclose);
  std::vector<uint8_t> chunk(kUnpackBytes);
  int64_t done = 0;
  while (true) {
    const int64_t got = zip_fread(file, chunk.data(), chunk.size());
    if (got < 0) return ZipError(path_, what.c_str(), zip_error_code_zip(zip_file_get_error(file)));
    if (got == 0) break;
    done += got;
    if (done > entry.size) break;
    FASTVLM_RETURN_IF_ERROR(data({chunk.data(), static_cast<size_t>(got)}));
  }
  if (done == entry.size) return {};
  return Error(StatusCode::kDataError, "{}: {} unpacks to another size than the stated {} bytes",
               path_, Quoted(entry.name), entry.size);
}

}  // namespace fastvlm
