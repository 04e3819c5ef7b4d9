#include "train/art/icons.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/printable.h"

namespace fastvlm::train {
namespace {

using nlohmann::json;

constexpr size_t kMaxFileBytes = size_t{64} << 20;  // the largest set in use has 25 MB
constexpr int kMaxAliasDepth = 8;
constexpr double kMaxSide = 1e5;
constexpr double kDefaultSide = 16;  // IconifyJSON's, where neither icon nor set says

// A number of the icon itself, else of the whole set, else `absent`.
Result<double> Dimension(const json& icon, const json& set, const char* field, double absent,
                         const std::string& place) {
  for (const json* holder : {&icon, &set}) {
    const json* value = FindMember(*holder, field);
    if (value == nullptr) continue;
    const double number = value->is_number() ? value->get<double>() : std::nan("");
    if (!(std::abs(number) <= kMaxSide)) {
      return Error(StatusCode::kDataError, "{}: {} must be a number up to {}, found {}", place,
                   field, kMaxSide, JsonText(*value));
    }
    return number;
  }
  return absent;
}

Result<bool> Flag(const json& alias, const char* field, const std::string& place) {
  const json* value = FindMember(alias, field);
  if (value == nullptr) return false;
  if (!value->is_boolean()) {
    return Error(StatusCode::kDataError, "{}: {} must be true or false, found {}", place, field,
                 JsonText(*value));
  }
  return value->get<bool>();
}

struct Resolved {
  const json* icon = nullptr;
  bool flip_x = false, flip_y = false;
};

const json* Entry(const json& set, const char* group, const std::string& name) {
  const json* members = FindMember(set, group);
  return members == nullptr ? nullptr : FindMember(*members, name.c_str());
}

Result<Resolved> Resolve(const json& set, std::string name, const std::string& path) {
  const std::string place = fmt::format("{}: icon {}", path, Quoted(name));
  Resolved resolved;
  for (int depth = 0; depth < kMaxAliasDepth; ++depth) {
    resolved.icon = Entry(set, "icons", name);
    if (resolved.icon != nullptr) {
      if (!resolved.icon->is_object()) {
        return Error(StatusCode::kDataError, "{}: expected an object, found {}", place,
                     JsonText(*resolved.icon));
      }
      return resolved;
    }
    const json* alias = Entry(set, "aliases", name);
    if (alias == nullptr) {
      return Error(StatusCode::kNotFound, "{}: there is no icon or alias {}", place, Quoted(name));
    }
    const json* parent = FindMember(*alias, "parent");
    if (parent == nullptr || !parent->is_string()) {
      return Error(StatusCode::kDataError, "{}: alias without a parent", place);
    }
    if (FindMember(*alias, "rotate") != nullptr) {
      return Error(StatusCode::kUnsupported, "{}: rotated aliases are not supported", place);
    }
    FASTVLM_ASSIGN_OR_RETURN(const bool flip_x, Flag(*alias, "hFlip", place));
    FASTVLM_ASSIGN_OR_RETURN(const bool flip_y, Flag(*alias, "vFlip", place));
    resolved.flip_x ^= flip_x;
    resolved.flip_y ^= flip_y;
    name = parent->get<std::string>();
  }
  return Error(StatusCode::kDataError, "{}: aliases nested deeper than {}", place, kMaxAliasDepth);
}

}  // namespace

Result<IconSet> IconSet::Open(const std::string& path) {
  IconSet set;
  set.path_ = path;
  FASTVLM_ASSIGN_OR_RETURN(set.root_, ReadJsonObject(path, kMaxFileBytes));
  const json* icons = FindMember(set.root_, "icons");
  if (icons == nullptr || !icons->is_object() || icons->empty()) {
    return Error(StatusCode::kDataError,
                 "{}: no \"icons\" in it; expected the icons.json of an @iconify-json package",
                 path);
  }
  const json* aliases = FindMember(set.root_, "aliases");
  if (aliases != nullptr && !aliases->is_object()) {
    return Error(StatusCode::kDataError, "{}: \"aliases\" must be an object, found {}", path,
                 JsonText(*aliases));
  }
  return set;
}

bool IconSet::Has(const std::string& name) const {
  return Entry(root_, "icons", name) != nullptr || Entry(root_, "aliases", name) != nullptr;
}

Result<std::string> IconSet::Svg(const std::string& name) const {
  FASTVLM_ASSIGN_OR_RETURN(const Resolved resolved, Resolve(root_, name, path_));
  const std::string place = fmt::format("{}: icon {}", path_, Quoted(name));
  const json& icon = *resolved.icon;
  const json* body = FindMember(icon, "body");
  if (body == nullptr || !body->is_string()) {
    return Error(StatusCode::kDataError, "{}: no SVG \"body\"", place);
  }
  FASTVLM_ASSIGN_OR_RETURN(const double left, Dimension(icon, root_, "left", 0, place));
  FASTVLM_ASSIGN_OR_RETURN(const double top, Dimension(icon, root_, "top", 0, place));
  FASTVLM_ASSIGN_OR_RETURN(const double width,
                           Dimension(icon, root_, "width", kDefaultSide, place));
  FASTVLM_ASSIGN_OR_RETURN(const double height,
                           Dimension(icon, root_, "height", kDefaultSide, place));
  if (width <= 0 || height <= 0) {
    return Error(StatusCode::kDataError, "{}: size must be above 0, found {} x {}", place, width,
                 height);
  }
  const double move_x = resolved.flip_x ? 2 * left + width : 0;
  const double move_y = resolved.flip_y ? 2 * top + height : 0;
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" "
      "viewBox=\"{} {} {} {}\"><g transform=\"translate({} {}) scale({} {})\">{}</g></svg>",
      left, top, width, height, move_x, move_y, resolved.flip_x ? -1 : 1, resolved.flip_y ? -1 : 1,
      body->get_ref<const std::string&>());
}

}  // namespace fastvlm::train
