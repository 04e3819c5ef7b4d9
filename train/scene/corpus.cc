#include "train/scene/corpus.h"

#include <array>
#include <string_view>

#include "train/scene/color.h"
#include "train/scene/grammar.h"

namespace fastvlm::train {
namespace {

constexpr std::array<Place, 9> kAnnotatedPlaces = {
    Place::kMiddle,  Place::kLeft,     Place::kRight,      Place::kTop,        Place::kBottom,
    Place::kTopLeft, Place::kTopRight, Place::kBottomLeft, Place::kBottomRight};

std::string WithoutQuoted(std::string_view text) {
  std::string out;
  bool quoted = false;
  for (char character : text) {
    if (character == '"') {
      quoted = !quoted;
      if (quoted && !out.empty() && out.back() == ' ') out.pop_back();
    } else if (!quoted) {
      out += character;
    }
  }
  return out;
}

void AddPhrases(Phrases phrases, const Slots& slots, std::vector<std::string>& lines) {
  for (std::string_view phrase : phrases) lines.push_back(FillIn(phrase, slots));
}

void AddConcept(const Concept& thing, size_t index, std::vector<std::string>& lines) {
  const std::string indefinite = Indefinite(thing);
  const Place place = kAnnotatedPlaces[index % kAnnotatedPlaces.size()];
  const std::string_view where = PlacePhrase(place);
  const char* color = NamedColors()[index % NamedColors().size()].name;
  const std::string ground = std::string(" on ") + WithArticle(color) + " background.";
  lines.push_back(Capitalized(indefinite) + ".");
  lines.push_back(Capitalized(indefinite) + ground);
  lines.push_back(Capitalized(indefinite) + " " + std::string(where) + ", " + indefinite + " " +
                  std::string(where) + " and " + indefinite + " " + std::string(where) + "," +
                  ground);
  AddPhrases(WherePhrases(), {&thing, where, {}}, lines);
  AddPhrases(PresentPhrases(), {&thing, where, {}}, lines);
  AddPhrases(WhatAtPhrases(), {&thing, where, {}}, lines);
  for (const char* relation :
       {"to the left of ", "to the right of ", "above ", "below ", "next to "}) {
    lines.push_back("What is " + (relation + Definite(thing)) + "?");
  }
  lines.push_back(Capitalized(indefinite) + " with the text above " +
                  (IsPlural(thing) ? "them" : "it") + "," + ground);
  lines.push_back(Capitalized(indefinite) + " with the text below " +
                  (IsPlural(thing) ? "them" : "it") + "," + ground);
  if (thing.number != Number::kCountable || thing.article == "the") return;
  AddPhrases(CountPhrases(), {&thing, where, {}}, lines);
  lines.push_back(Capitalized(thing.plural) + ".");
  for (int number = 2; number <= 6; ++number) {
    lines.push_back(Capitalized(NumberWord(number)) + " " + thing.plural + ground);
  }
}

}  // namespace

std::vector<std::string> SystematicLines(const Art& art) {
  std::vector<std::string> lines;
  for (size_t i = 0; i < art.concepts().size(); ++i) AddConcept(art.concepts()[i], i, lines);
  for (const NamedColor& color : NamedColors()) {
    lines.push_back(Capitalized(color.name) + ".");
    lines.push_back("The text on " + WithArticle(color.name) + " background.");
  }
  for (Place place : kAnnotatedPlaces) {
    const std::string where(PlacePhrase(place));
    lines.push_back(Capitalized(where) + ".");
    AddPhrases(WhatAtPhrases(), {nullptr, where, {}}, lines);
    if (place < Place::kTopLeft) continue;
    AddPhrases(WhatAtPhrases(), {nullptr, CornerPhrase(place), {}}, lines);
  }
  for (int number = 1; number <= 6; ++number)
    lines.push_back(Capitalized(NumberWord(number)) + ".");
  for (Phrases phrases :
       {DescribePhrases(), NamePhrases(), NameAlikePhrases(), CountThingsPhrases(),
        WhereTextPhrases(), TextPresentPhrases(), BackgroundPhrases(), ReadPhrases()}) {
    AddPhrases(phrases, {}, lines);
  }
  for (std::string_view phrase : SaysPhrases()) lines.push_back(WithoutQuoted(phrase));
  for (const char* relation : {"below the text", "above the text"}) {
    AddPhrases(WhatAtPhrases(), {nullptr, relation, {}}, lines);
  }
  for (const char* answer : {"Yes.", "No.", "Nothing.", "The text."}) lines.push_back(answer);
  return lines;
}

std::vector<std::string> SceneLines(const Scene& scene) {
  std::vector<std::string> lines;
  for (const Turn& turn : scene.turns) {
    for (const std::string* text : {&turn.question, &turn.answer}) {
      std::string line = WithoutQuoted(*text);
      if (!line.empty()) lines.push_back(std::move(line));
    }
  }
  return lines;
}

std::vector<std::string> PromptLines() {
  return {"system", "You are a helpful assistant.", "user", "assistant"};
}

}  // namespace fastvlm::train
