// How things, places and numbers are said in questions and answers.
#ifndef FASTVLM_TRAIN_SCENE_GRAMMAR_H_
#define FASTVLM_TRAIN_SCENE_GRAMMAR_H_

#include <span>
#include <string>
#include <string_view>

#include "train/art/art.h"

namespace fastvlm::train {

enum class Place {
  kNone,
  kMiddle,
  kLeft,
  kRight,
  kTop,
  kBottom,
  kTopLeft,
  kTopRight,
  kBottomLeft,
  kBottomRight
};

std::string_view PlacePhrase(Place place);   // "on the left", "at the top right"
std::string_view CornerPhrase(Place place);  // "in the top right corner"; corners only

std::string NumberWord(int number);  // "three"; 1..6
std::string Capitalized(std::string text);

std::string Indefinite(const Concept& thing);  // "a cat", "some scissors", "the moon"
std::string Definite(const Concept& thing);    // "the cat"
// As asked for: "a cat", "any scissors", "any popcorn", "the moon".
std::string Sought(const Concept& thing);
bool IsPlural(const Concept& thing);                   // "are there", "them"
std::string WithArticle(std::string_view adjectives);  // "an orange", "a dark blue"

// What the placeholders of a phrase stand for:
//   $a Indefinite  $t Definite  $q Sought  $s plural name  $i "is" or "are"  $I "Is" or "Are"
//   $p place  $x text
struct Slots {
  const Concept* thing = nullptr;
  std::string_view place;
  std::string_view text;
};
std::string FillIn(std::string_view phrase, const Slots& slots);

// Whether one could be called by the other's name ("fire truck", "truck"), so that they are never
// in one picture and never asked for in each other's.
bool MayBeMistaken(const Concept& a, const Concept& b);

// Phrasings, the most natural first.
using Phrases = std::span<const std::string_view>;
Phrases DescribePhrases();
Phrases NamePhrases();
Phrases NameAlikePhrases();
Phrases CountPhrases();        // of $s
Phrases CountThingsPhrases();  // of whatever is there
Phrases WherePhrases();        // $t
Phrases WhereTextPhrases();
Phrases WhatAtPhrases();   // $p
Phrases PresentPhrases();  // $q
Phrases TextPresentPhrases();
Phrases SaysPhrases();  // $x
Phrases BackgroundPhrases();
Phrases ReadPhrases();

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_SCENE_GRAMMAR_H_
