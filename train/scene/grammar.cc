#include "train/scene/grammar.h"

#include <algorithm>
#include <array>

#include "base/check.h"

namespace fastvlm::train {
namespace {

constexpr std::array<std::string_view, 10> kPlaces = {"",
                                                      "in the middle",
                                                      "on the left",
                                                      "on the right",
                                                      "at the top",
                                                      "at the bottom",
                                                      "at the top left",
                                                      "at the top right",
                                                      "at the bottom left",
                                                      "at the bottom right"};

// Things that people might call by the same name although their names share no word. Every group
// begins and ends with a comma.
constexpr std::array<std::string_view, 25> kAlikeGroups = {
    ",man,woman,boy,girl,baby,cook,police "
    "officer,firefighter,astronaut,princess,Santa,clown,devil,",
    ",bird,duck,owl,penguin,parrot,rooster,chicken,swan,flamingo,peacock,turkey,",
    ",fish,tropical fish,shark,dolphin,whale,",
    ",bear,panda,teddy bear,koala,",
    ",car,taxi,police car,race car,",
    ",truck,fire truck,ambulance,bus,tractor,",
    ",ship,sailboat,",
    ",motorcycle,motor scooter,kick scooter,bicycle,",
    ",computer,laptop,keyboard,television,",
    ",telephone,mobile phone,",
    ",book,open book,stack of books,",
    ",house,church,castle,factory,hospital,",
    ",tree,pine tree,palm tree,Christmas tree,potted plant,broccoli,",
    ",rose,tulip,sunflower,cherry blossom,",
    ",bread,bagel,doughnut,croissant,sandwich,hamburger,",
    ",baseball,basketball,volleyball,soccer ball,tennis ball,American football,bowling ball,eight "
    "ball,",
    ",sun,star,moon,planet,globe,",
    ",dinosaur,dragon,crocodile,lizard,",
    ",alarm clock,watch,",
    ",glasses,sunglasses,",
    ",boot,running shoe,high heel,ice skate,roller skate,",
    ",smiling face,cool face,love face,angry face,crying face,sleeping "
    "face,ghost,alien,skull,robot,",
    ",top hat,helmet,graduation cap,crown,",
    ",knife,swords,",
    ",bag,backpack,handbag,briefcase,money bag,"};

constexpr std::array<std::string_view, 12> kDescribe = {"Describe the image.",
                                                        "Describe the picture.",
                                                        "What is in the picture?",
                                                        "What do you see?",
                                                        "What is in the image?",
                                                        "Describe this image.",
                                                        "What does the picture show?",
                                                        "Describe this picture.",
                                                        "What can you see in the picture?",
                                                        "What does the image show?",
                                                        "Describe what you see.",
                                                        "Give a short description of the image."};
constexpr std::array<std::string_view, 8> kName = {
    "What is this?",       "What is it?",
    "What is shown here?", "What object is this?",
    "What thing is this?", "What's this?",
    "Name this thing.",    "What is the thing in the picture?"};
constexpr std::array<std::string_view, 5> kNameAlike = {
    "What are these?", "What are they?", "What things are these?", "What objects are these?",
    "Name these things."};
constexpr std::array<std::string_view, 8> kCount = {
    "How many $s are there?",   "How many $s are in the picture?",   "How many $s do you see?",
    "How many $s can you see?", "How many $s are in the image?",     "Count the $s.",
    "How many $s are shown?",   "How many $s does the picture show?"};
constexpr std::array<std::string_view, 6> kCountThings = {
    "How many things are there?",         "How many things are in the picture?",
    "How many things do you see?",        "How many objects are there?",
    "How many objects are in the image?", "Count the things."};
constexpr std::array<std::string_view, 7> kWhere = {
    "Where $i $t?",          "Where $i $t in the picture?", "Where do you see $t?",
    "Where can you see $t?", "Where $i $t in the image?",   "In which part of the picture $i $t?",
    "Tell me where $t $i."};
constexpr std::array<std::string_view, 5> kWhereText = {
    "Where is the text?", "Where is the text in the picture?", "Where do you see the text?",
    "Where is the word?", "In which part of the picture is the text?"};
constexpr std::array<std::string_view, 7> kWhatAt = {
    "What is $p?",          "What do you see $p?",      "What is $p of the picture?",
    "What can you see $p?", "What is $p of the image?", "What is shown $p?",
    "What thing is $p?"};
constexpr std::array<std::string_view, 8> kPresent = {"$I there $q?",
                                                      "$I there $q in the picture?",
                                                      "$I there $q in the image?",
                                                      "Do you see $q?",
                                                      "Can you see $q?",
                                                      "Does the picture show $q?",
                                                      "Does the image show $q?",
                                                      "Can you see $q in the picture?"};
constexpr std::array<std::string_view, 6> kTextPresent = {
    "Is there any text?",          "Is there any text in the picture?",
    "Is there text in the image?", "Do you see any text?",
    "Can you see any text?",       "Is anything written in the picture?"};
constexpr std::array<std::string_view, 6> kSays = {
    "Does the text say \"$x\"?", "Does it say \"$x\"?",
    "Is the text \"$x\"?",       "Does the picture say \"$x\"?",
    "Is \"$x\" written there?",  "Is \"$x\" written in the picture?"};
constexpr std::array<std::string_view, 7> kBackground = {
    "What color is the background?",        "What is the background color?",
    "What is the color of the background?", "What colour is the background?",
    "Which color is the background?",       "Which color does the background have?",
    "Name the color of the background."};
constexpr std::array<std::string_view, 9> kRead = {
    "What does the text say?", "Read the text.",        "What is written here?",
    "What does it say?",       "What is the text?",     "What is written in the picture?",
    "Read what is written.",   "What text do you see?", "Read the text in the image."};

std::string_view LastWord(std::string_view name) {
  const size_t space = name.rfind(' ');
  return space == name.npos ? name : name.substr(space + 1);
}

bool InGroup(std::string_view group, std::string_view name) {
  for (size_t at = group.find(name); at != group.npos; at = group.find(name, at + 1)) {
    if (group[at - 1] == ',' && group[at + name.size()] == ',') return true;
  }
  return false;
}

bool IsSingularOnly(const Concept& thing) { return thing.article == "the"; }

}  // namespace

std::string_view PlacePhrase(Place place) { return kPlaces[static_cast<size_t>(place)]; }

std::string_view CornerPhrase(Place place) {
  switch (place) {
    case Place::kTopLeft:
      return "in the top left corner";
    case Place::kTopRight:
      return "in the top right corner";
    case Place::kBottomLeft:
      return "in the bottom left corner";
    case Place::kBottomRight:
      return "in the bottom right corner";
    default:
      FASTVLM_CHECK(false);
      return "";
  }
}

std::string NumberWord(int number) {
  constexpr std::array<const char*, 7> kNumbers = {"zero", "one",  "two", "three",
                                                   "four", "five", "six"};
  FASTVLM_CHECK(number >= 1 && number <= 6);
  return kNumbers[static_cast<size_t>(number)];
}

std::string Capitalized(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] += 'A' - 'a';
  return text;
}

std::string Indefinite(const Concept& thing) { return thing.article + " " + thing.name; }
std::string Definite(const Concept& thing) { return "the " + thing.name; }

std::string Sought(const Concept& thing) {
  if (IsSingularOnly(thing)) return Definite(thing);
  return thing.number == Number::kCountable ? Indefinite(thing) : "any " + thing.name;
}

bool IsPlural(const Concept& thing) { return thing.number == Number::kPlural; }

std::string WithArticle(std::string_view adjectives) {
  const bool vowel =
      !adjectives.empty() && std::string_view("aeio").find(adjectives[0]) != std::string_view::npos;
  return (vowel ? "an " : "a ") + std::string(adjectives);
}

std::string FillIn(std::string_view phrase, const Slots& slots) {
  std::string out;
  for (size_t i = 0; i < phrase.size(); ++i) {
    if (phrase[i] != '$') {
      out += phrase[i];
      continue;
    }
    switch (phrase[++i]) {
      case 'a':
        out += Indefinite(*slots.thing);
        break;
      case 't':
        out += Definite(*slots.thing);
        break;
      case 'q':
        out += Sought(*slots.thing);
        break;
      case 's':
        out += slots.thing->plural;
        break;
      case 'i':
        out += IsPlural(*slots.thing) ? "are" : "is";
        break;
      case 'I':
        out += IsPlural(*slots.thing) ? "Are" : "Is";
        break;
      case 'p':
        out += slots.place;
        break;
      case 'x':
        out += slots.text;
        break;
      default:
        FASTVLM_CHECK(false);
    }
  }
  return out;
}

bool MayBeMistaken(const Concept& a, const Concept& b) {
  if (a.name == b.name || LastWord(a.name) == LastWord(b.name)) return true;
  return std::any_of(kAlikeGroups.begin(), kAlikeGroups.end(), [&](std::string_view group) {
    return InGroup(group, a.name) && InGroup(group, b.name);
  });
}

Phrases DescribePhrases() { return kDescribe; }
Phrases NamePhrases() { return kName; }
Phrases NameAlikePhrases() { return kNameAlike; }
Phrases CountPhrases() { return kCount; }
Phrases CountThingsPhrases() { return kCountThings; }
Phrases WherePhrases() { return kWhere; }
Phrases WhereTextPhrases() { return kWhereText; }
Phrases WhatAtPhrases() { return kWhatAt; }
Phrases PresentPhrases() { return kPresent; }
Phrases TextPresentPhrases() { return kTextPresent; }
Phrases SaysPhrases() { return kSays; }
Phrases BackgroundPhrases() { return kBackground; }
Phrases ReadPhrases() { return kRead; }

}  // namespace fastvlm::train
