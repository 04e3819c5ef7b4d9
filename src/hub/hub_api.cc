#include "hub/hub_api.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/printable.h"

namespace fastvlm {
namespace {

using nlohmann::json;

constexpr size_t kSha1Digits = 40;
constexpr size_t kSha256Digits = 64;

bool IsHex(std::string_view text, size_t digits) {
  return text.size() == digits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// '/' of a revision such as refs/pr/11; everything else a revision may hold needs no escape.
std::string EscapeSlashes(std::string_view text) {
  std::string escaped;
  for (char c : text) escaped += c == '/' ? std::string("%2F") : std::string(1, c);
  return escaped;
}

Result<HubFile> ParseFile(const json& entry, const std::string& url, size_t index) {
  const JsonFields fields(entry, url, fmt::format("siblings[{}].", index));
  HubFile file;
  FASTVLM_ASSIGN_OR_RETURN(file.name, fields.StringOr("rfilename", ""));
  if (file.name.empty()) return fields.Wrong("rfilename", "the name of a file");
  FASTVLM_ASSIGN_OR_RETURN(const auto lfs, fields.Object("lfs"));
  if (lfs.has_value()) {
    FASTVLM_ASSIGN_OR_RETURN(file.size, lfs->Integer("size", 0, kMaxFileBytes));
    FASTVLM_ASSIGN_OR_RETURN(file.digest.hex, lfs->StringOr("sha256", ""));
    if (!IsHex(file.digest.hex, kSha256Digits)) {
      return lfs->Wrong("sha256", "64 hexadecimal digits");
    }
    file.digest.kind = DigestKind::kSha256;
    return file;
  }
  FASTVLM_ASSIGN_OR_RETURN(file.size, fields.Integer("size", 0, kMaxFileBytes));
  FASTVLM_ASSIGN_OR_RETURN(file.digest.hex, fields.StringOr("blobId", ""));
  if (!IsHex(file.digest.hex, kSha1Digits)) {
    return fields.Wrong("blobId", "40 hexadecimal digits");
  }
  file.digest.kind = DigestKind::kGitBlob;
  return file;
}

// cardData.license is a text or a list of texts; a wrong one is only not shown.
std::string Licence(const JsonFields& fields) {
  const auto card = fields.Object("cardData");
  if (!card.ok() || !card->has_value()) return {};
  for (const char* name : {"license_name", "license"}) {
    const json* licence = (*card)->Find(name);
    if (licence != nullptr && licence->is_array() && !licence->empty()) licence = &licence->front();
    if (licence != nullptr && licence->is_string()) {
      return Printable(licence->get_ref<const std::string&>());
    }
  }
  return {};
}

}  // namespace

std::string ListingUrl(const std::string& endpoint, const ModelSource& source) {
  return fmt::format("{}/api/models/{}/revision/{}?blobs=true", endpoint, source.repository,
                     EscapeSlashes(source.revision));
}

std::string FileUrl(const std::string& endpoint, const ModelSource& source,
                    const std::string& commit, const std::string& file) {
  return fmt::format("{}/{}/resolve/{}/{}", endpoint, source.repository, commit, file);
}

Result<HubListing> ParseHubListing(std::string_view text, const std::string& url) {
  FASTVLM_ASSIGN_OR_RETURN(const json object, ParseJsonObject(text, url));
  const JsonFields fields(object, url);
  HubListing listing;
  FASTVLM_ASSIGN_OR_RETURN(listing.commit, fields.StringOr("sha", ""));
  if (!IsHex(listing.commit, kSha1Digits)) return fields.Wrong("sha", "40 hexadecimal digits");
  listing.licence = Licence(fields);
  const json* siblings = fields.Find("siblings");
  if (siblings == nullptr || !siblings->is_array()) {
    return fields.Wrong("siblings", "a list of files");
  }
  for (size_t i = 0; i < siblings->size(); ++i) {
    if (!(*siblings)[i].is_object()) {
      return Error(StatusCode::kDataError, "{}: siblings[{}] must be an object, found {}", url, i,
                   JsonText((*siblings)[i]));
    }
    FASTVLM_ASSIGN_OR_RETURN(HubFile file, ParseFile((*siblings)[i], url, i));
    listing.files.push_back(std::move(file));
  }
  return listing;
}

}  // namespace fastvlm
