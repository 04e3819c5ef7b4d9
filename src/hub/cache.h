// The models on this machine that were pulled.
//
//   ROOT/models/owner/name/    complete ones: the files, and .fastvlm.json that says where from
//   ROOT/partial/owner/name/   downloads that were not finished, to be resumed
//   ROOT/old/owner@name/       what a pull was just about to replace, see Recover
//   ROOT/locks, ROOT/licences  one pull at a time for each model; licences that were shown
#ifndef FASTVLM_HUB_CACHE_H_
#define FASTVLM_HUB_CACHE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "hub/digest.h"

namespace fastvlm {

struct CachedFile {
  std::string name;
  int64_t size = 0;
  ExpectedDigest digest;
};

// What .fastvlm.json holds, of version 1. Before there were versions it had no "version"; that is
// version 1 too.
struct Manifest {
  std::string source;    // "hf:owner/name@main" or the URL of an archive
  std::string revision;  // commit, or SHA-256 of the archive
  std::string licence;
  std::string pulled;  // "2026-01-31T12:00:00Z"
  std::vector<CachedFile> files;
};

struct CachedModel {
  std::string name;       // "apple/FastVLM-0.5B"
  std::string directory;  // its files, or what there is of them
  int64_t bytes = 0;
  bool complete = false;
  Manifest manifest;  // of a complete one
  Status newer;       // an error if a newer fastvlm fetched it, whose manifest cannot be read
};

class ModelCache {
 public:
  explicit ModelCache(std::string root) : root_(std::move(root)) {}

  const std::string& root() const { return root_; }
  // `name` must be that of a ModelSource.
  std::string ModelDirectory(const std::string& name) const { return root_ + "/models/" + name; }
  std::string PartialDirectory(const std::string& name) const { return root_ + "/partial/" + name; }
  std::string OldDirectory(const std::string& name) const;
  std::string LockPath(const std::string& name) const;
  std::string LicencePath(const std::string& sha256) const { return root_ + "/licences/" + sha256; }

  // Brings back the models that a pull had moved aside when it was ended, and removes what is left
  // of those that were replaced. Models that another process is at work on are left alone.
  void Recover() const;

  // By name. Directories that no pull made are left out.
  std::vector<CachedModel> List() const;

  // A complete model by its name, or by the part after the slash if that is unique; upper and lower
  // case are the same unless that leaves two. kNotFound names what there is instead; kUnsupported
  // if a newer fastvlm fetched it.
  Result<CachedModel> Find(const std::string& name) const;

  // Removes a model, complete or not, found as above. The bytes that were freed.
  Result<int64_t> Remove(const std::string& name) const;

 private:
  Result<CachedModel> FindIn(const std::vector<CachedModel>& models, const std::string& name) const;
  std::string root_;
};

// kUnsupported if the manifest is of a newer version.
Result<Manifest> ReadManifest(const std::string& directory);
Status WriteManifest(const std::string& directory, const Manifest& manifest);

}  // namespace fastvlm

#endif  // FASTVLM_HUB_CACHE_H_
