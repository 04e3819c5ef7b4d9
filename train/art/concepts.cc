#include "train/art/concepts.h"

#include <algorithm>

#include "base/printable.h"

namespace fastvlm::train {
namespace {

// Share-alike art is held out: nothing is trained on it, and it tests how well drawings by
// somebody else are known.
const std::vector<Style> kStyles = {{"noto", false, false},
                                    {"noto-v1", false, false},
                                    {"fluent-emoji-flat", false, false},
                                    {"twemoji", false, false},
                                    {"emojione", false, false},
                                    {"streamline-emojis", false, true},
                                    {"fxemoji", false, true},
                                    {"fluent-emoji-high-contrast", false, true},
                                    {"emojione-monotone", false, true},
                                    {"game-icons", false, true},
                                    {"fluent-emoji-lined", false, true},
                                    {"emojione-lined", false, true},
                                    {"openmoji", true, false}};

const std::vector<LinedStyle> kLinedStyles = {
    {"fluent-emoji-lined", "fluent-emoji-flat", "fluent-emoji-high-contrast"},
    {"emojione-lined", "emojione", "emojione-monotone"}};

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

bool IsStyle(std::string_view name) {
  return std::any_of(kStyles.begin(), kStyles.end(),
                     [name](const Style& style) { return style.name == name; });
}

Status ParseIcons(std::string_view text, const std::string& place, ConceptRow* row) {
  for (std::string_view icon : Split(text, ' ')) {
    const size_t equals = icon.find('=');
    if (equals == std::string_view::npos) {
      if (icon.empty()) return Error(StatusCode::kDataError, "{}: empty icon name", place);
      row->icons.emplace_back(icon);
      continue;
    }
    const std::string_view package = icon.substr(0, equals);
    icon.remove_prefix(equals + 1);
    if (!IsStyle(package) || icon.empty()) {
      return Error(StatusCode::kDataError, "{}: expected <package>=<icon>, found {}={}", place,
                   Quoted(package), Quoted(icon));
    }
    row->overrides.push_back({std::string(package), icon == "-" ? "" : std::string(icon)});
  }
  return {};
}

Result<ConceptRow> ParseRow(std::string_view line, const std::string& place) {
  const std::vector<std::string_view> fields = Split(line, '\t');
  if (fields.size() != 6) {
    return Error(StatusCode::kDataError, "{}: expected 6 fields separated by tabs, found {}", place,
                 fields.size());
  }
  for (int i = 0; i < 5; ++i) {
    if (fields[i].empty())
      return Error(StatusCode::kDataError, "{}: field {} is empty", place, i + 1);
  }
  ConceptRow row;
  row.about.category = fields[0];
  row.about.name = fields[1];
  row.about.plural = fields[2];
  row.about.article = fields[3];
  if (fields[4] == "c") {
    row.about.number = Number::kCountable;
  } else if (fields[4] == "p") {
    row.about.number = Number::kPlural;
  } else if (fields[4] == "m") {
    row.about.number = Number::kMass;
  } else {
    return Error(StatusCode::kDataError, "{}: number must be c, p or m, found {}", place,
                 Quoted(fields[4]));
  }
  FASTVLM_RETURN_IF_ERROR(ParseIcons(fields[5], place, &row));
  return row;
}

}  // namespace

std::vector<std::string> ConceptRow::IconsIn(std::string_view package) const {
  std::vector<std::string> own;
  bool overridden = false;
  for (const Override& one : overrides) {
    if (one.package != package) continue;
    overridden = true;
    if (!one.icon.empty()) own.push_back(one.icon);
  }
  return overridden ? own : icons;
}

Result<std::vector<ConceptRow>> ParseConcepts(std::string_view table, std::string_view name) {
  std::vector<ConceptRow> rows;
  int number = 0;
  for (std::string_view line : Split(table, '\n')) {
    ++number;
    if (line.empty() || line.front() == '#') continue;
    FASTVLM_ASSIGN_OR_RETURN(ConceptRow row, ParseRow(line, fmt::format("{}:{}", name, number)));
    rows.push_back(std::move(row));
  }
  if (rows.empty()) return Error(StatusCode::kDataError, "{}: no concepts in it", name);
  return rows;
}

const std::vector<Style>& Styles() { return kStyles; }

const LinedStyle* FindLinedStyle(std::string_view name) {
  for (const LinedStyle& style : kLinedStyles) {
    if (style.name == name) return &style;
  }
  return nullptr;
}

}  // namespace fastvlm::train
