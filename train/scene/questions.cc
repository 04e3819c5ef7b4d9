#include "train/scene/questions.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "train/scene/words.h"

namespace fastvlm::train {
namespace {

std::string Sentence(std::string text) { return Capitalized(std::move(text)) + "."; }
std::string Quoted(std::string_view text) {
  std::string out = "\"";
  out.append(text).append("\"");
  return out;
}

// What a question is about; its words are chosen when it is asked.
struct Topic {
  Task task = Task::kDescribe;
  float weight = 1;
  Phrases phrases;
  const Concept* thing = nullptr;
  std::string place;
  std::string text;
  std::string answer;
};

class Interviewer {
 public:
  Interviewer(const Art& art, const Composition& scene, Random& random)
      : art_(art), scene_(scene), random_(random) {}

  std::vector<Turn> Ask(int count);

 private:
  const Concept& ThingOf(const Item& item) const {
    return art_.concepts()[static_cast<size_t>(item.concept_index)];
  }
  bool IsShown(const Concept& thing) const;
  const Concept& Absent();
  void Add(Task task, float weight, Phrases phrases, std::string answer,
           const Concept* thing = nullptr, std::string place = {}, std::string text = {});
  void AddWhatAt(float weight, Place place, const std::string& answer);
  void AddRelations(float weight);
  void AddPresent(float weight);
  void AddPresentYes(float weight);
  void AddPresentNo(float weight);
  void AddCounts(float weight);
  void AddTopics();
  void SetSubject(const Concept& thing, Turn& turn) const;
  void AddSingle();
  void AddPair();
  void AddGroup();
  void AddAlike();
  void AddText();
  void AddTextAndThing();

  const Art& art_;
  const Composition& scene_;
  Random& random_;
  std::vector<Topic> topics_;
};

// Also true if something shown could be called the same, as the honest answer is not "no" then.
bool Interviewer::IsShown(const Concept& thing) const {
  return std::any_of(scene_.items.begin(), scene_.items.end(),
                     [&](const Item& item) { return MayBeMistaken(ThingOf(item), thing); });
}

// Something that is not in the picture, often of the category of something that is.
const Concept& Interviewer::Absent() {
  const int count = static_cast<int>(art_.concepts().size());
  const bool near = !scene_.items.empty() && random_.Chance(0.5);
  const std::string* category = near ? &ThingOf(random_.Pick(scene_.items)).category : nullptr;
  for (int tries = 0; tries < 200; ++tries) {
    const Concept& thing = art_.concepts()[static_cast<size_t>(random_.Below(count))];
    if (category && tries < 100 && thing.category != *category) continue;
    if (!IsShown(thing)) return thing;
  }
  for (const Concept& thing : art_.concepts()) {
    if (!IsShown(thing)) return thing;
  }
  return art_.concepts()[0];
}

void Interviewer::Add(Task task, float weight, Phrases phrases, std::string answer,
                      const Concept* thing, std::string place, std::string text) {
  topics_.push_back(
      {task, weight, phrases, thing, std::move(place), std::move(text), std::move(answer)});
}

void Interviewer::AddWhatAt(float weight, Place place, const std::string& answer) {
  std::string where(PlacePhrase(place));
  if (place >= Place::kTopLeft && random_.Chance(0.3)) where = CornerPhrase(place);
  Add(Task::kWhatAt, weight, WhatAtPhrases(), answer, nullptr, std::move(where));
}

// "What is to the left of the dog?" for a pair.
void Interviewer::AddRelations(float weight) {
  const Concept& first = ThingOf(scene_.items[0]);
  const Concept& second = ThingOf(scene_.items[1]);
  const bool beside = scene_.items[0].place == Place::kLeft;
  auto add = [&](const char* relation, const Concept& of, const Concept& answer) {
    Add(Task::kWhatAt, weight, WhatAtPhrases().first(2), Sentence(Indefinite(answer)), nullptr,
        std::string(relation) + " " + Definite(of));
  };
  add(beside ? "to the left of" : "above", second, first);
  add(beside ? "to the right of" : "below", first, second);
  if (beside) add("next to", first, second);
  if (beside) add("next to", second, first);
}

void Interviewer::AddPresentYes(float weight) {
  const bool has_text = !scene_.text.empty();
  if (has_text && (scene_.items.empty() || random_.Chance(0.4))) {
    if (random_.Chance(0.5)) return Add(Task::kPresent, weight, TextPresentPhrases(), "Yes.");
    return Add(Task::kPresent, weight, SaysPhrases(), "Yes.", nullptr, {}, scene_.text);
  }
  Add(Task::kPresent, weight, PresentPhrases(), "Yes.", &ThingOf(random_.Pick(scene_.items)));
}

void Interviewer::AddPresentNo(float weight) {
  if (scene_.text.empty()) {
    if (random_.Chance(0.15)) {
      return Add(Task::kPresent, weight, TextPresentPhrases(), "No.");
    }
  } else if (random_.Chance(scene_.items.empty() ? 0.5 : 0.25)) {
    return Add(Task::kPresent, weight, SaysPhrases(), "No.", nullptr, {},
               DrawOtherText(scene_.text, random_));
  }
  Add(Task::kPresent, weight, PresentPhrases(), "No.", &Absent());
}

// The answer is drawn before the thing, so that "yes" and "no" are even in every layout.
void Interviewer::AddPresent(float weight) {
  for (int i = 0; i < 2; ++i) random_.Chance(0.5) ? AddPresentYes(weight) : AddPresentNo(weight);
}

// How many of one thing, in pictures of different things.
void Interviewer::AddCounts(float weight) {
  const int things = static_cast<int>(scene_.items.size());
  if (things > 1) {
    Add(Task::kCount, weight, CountThingsPhrases(), Sentence(NumberWord(things)));
  }
  const Concept& thing = ThingOf(random_.Pick(scene_.items));
  if (thing.number == Number::kCountable && thing.article != "the") {
    Add(Task::kCount, weight, CountPhrases(), "One.", &thing);
  }
}

void Interviewer::AddSingle() {
  const Item& item = scene_.items[0];
  const Concept& thing = ThingOf(item);
  const std::string named = Sentence(Indefinite(thing));
  Add(Task::kName, 2.2f, NamePhrases(), named);
  AddPresent(0.9f);
  AddCounts(0.3f);
  if (item.place == Place::kNone) return;
  Add(Task::kWhere, 1.2f, WherePhrases(), Sentence(std::string(PlacePhrase(item.place))), &thing);
  AddWhatAt(0.7f, item.place, named);
  if (item.place == Place::kLeft) AddWhatAt(0.15f, Place::kRight, "Nothing.");
  if (item.place == Place::kRight) AddWhatAt(0.15f, Place::kLeft, "Nothing.");
  if (item.place == Place::kTop) AddWhatAt(0.15f, Place::kBottom, "Nothing.");
  if (item.place == Place::kBottom) AddWhatAt(0.15f, Place::kTop, "Nothing.");
}

void Interviewer::AddPair() {
  for (const Item& item : scene_.items) {
    const Concept& thing = ThingOf(item);
    Add(Task::kWhere, 1.4f, WherePhrases(), Sentence(std::string(PlacePhrase(item.place))), &thing);
    AddWhatAt(0.7f, item.place, Sentence(Indefinite(thing)));
  }
  AddRelations(0.2f);
  AddPresent(1.4f);
  AddCounts(0.2f);
}

void Interviewer::AddGroup() {
  std::array<bool, 4> taken = {};
  for (const Item& item : scene_.items) {
    const Concept& thing = ThingOf(item);
    Add(Task::kWhere, 1.2f, WherePhrases(), Sentence(std::string(PlacePhrase(item.place))), &thing);
    AddWhatAt(0.5f, item.place, Sentence(Indefinite(thing)));
    taken[static_cast<size_t>(item.place) - static_cast<size_t>(Place::kTopLeft)] = true;
  }
  for (size_t i = 0; i < 4; ++i) {
    if (taken[i]) continue;
    AddWhatAt(0.5f, static_cast<Place>(i + static_cast<size_t>(Place::kTopLeft)), "Nothing.");
  }
  AddPresent(1.5f);
  AddCounts(0.2f);
}

void Interviewer::AddAlike() {
  const Concept& thing = ThingOf(scene_.items[0]);
  const std::string number = Sentence(NumberWord(static_cast<int>(scene_.items.size())));
  Add(Task::kCount, 2.6f, CountPhrases(), number, &thing);
  Add(Task::kCount, 0.8f, CountThingsPhrases(), number);
  Add(Task::kName, 0.9f, NameAlikePhrases(), Sentence(thing.plural));
  AddPresent(0.8f);
}

void Interviewer::AddText() {
  Add(Task::kRead, 4.0f, ReadPhrases(), Quoted(scene_.text));
  AddPresent(0.8f);
}

void Interviewer::AddTextAndThing() {
  const Item& item = scene_.items[0];
  const Concept& thing = ThingOf(item);
  const std::string named = Sentence(Indefinite(thing));
  const std::string text = Sentence(std::string("the text ") + Quoted(scene_.text));
  const bool text_on_top = scene_.text_place == Place::kTop;
  Add(Task::kRead, 2.6f, ReadPhrases(), Quoted(scene_.text));
  Add(Task::kWhere, 0.7f, WherePhrases(), Sentence(std::string(PlacePhrase(item.place))), &thing);
  Add(Task::kWhere, 0.4f, WhereTextPhrases(),
      Sentence(std::string(PlacePhrase(scene_.text_place))));
  AddWhatAt(0.5f, item.place, named);
  AddWhatAt(0.4f, scene_.text_place, text);
  Add(Task::kWhatAt, 0.3f, WhatAtPhrases().first(2), named, nullptr,
      text_on_top ? "below the text" : "above the text");
  AddPresent(0.9f);
}

void Interviewer::AddTopics() {
  Add(Task::kDescribe, 4.0f, DescribePhrases(), Describe(art_, scene_));
  Add(Task::kBackground, 0.9f, BackgroundPhrases(), Sentence(scene_.color->name));
  switch (scene_.layout) {
    case Layout::kSingle:
      return AddSingle();
    case Layout::kPair:
      return AddPair();
    case Layout::kGroup:
      return AddGroup();
    case Layout::kAlike:
      return AddAlike();
    case Layout::kText:
      return AddText();
    case Layout::kTextAndThing:
      return AddTextAndThing();
    case Layout::kAny:
      return;  // never composed
  }
}

void Interviewer::SetSubject(const Concept& thing, Turn& turn) const {
  for (const std::string& name : {thing.plural, thing.name}) {
    const size_t at = name.empty() ? std::string::npos : turn.question.rfind(name);
    if (at == std::string::npos) continue;
    turn.subject = static_cast<int>(&thing - art_.concepts().data());
    turn.subject_end = at + name.size();
    return;
  }
}

std::vector<Turn> Interviewer::Ask(int count) {
  AddTopics();
  std::vector<float> weights;
  for (const Topic& topic : topics_) weights.push_back(topic.weight);
  std::vector<Turn> turns;
  const int topics = static_cast<int>(topics_.size());
  for (int i = 0; i < std::min(count, topics); ++i) {
    const int chosen = random_.Weighted(weights.data(), topics);
    weights[static_cast<size_t>(chosen)] = 0;
    const Topic& topic = topics_[static_cast<size_t>(chosen)];
    auto is_asked = [&](const std::string& question) {
      return std::any_of(turns.begin(), turns.end(),
                         [&](const Turn& turn) { return turn.question == question; });
    };
    std::string question;
    do {  // one thing may be asked for twice, in other words
      std::array<float, 16> odds = {};
      const int phrases = static_cast<int>(topic.phrases.size());
      for (int k = 0; k < phrases; ++k) {
        odds[static_cast<size_t>(k)] = 1 / (1 + 0.4f * static_cast<float>(k));
      }
      const auto& phrase =
          topic.phrases[static_cast<size_t>(random_.Weighted(odds.data(), phrases))];
      question = FillIn(phrase, {topic.thing, topic.place, topic.text});
    } while (is_asked(question));
    turns.push_back({topic.task, std::move(question), topic.answer});
    if (topic.thing != nullptr) SetSubject(*topic.thing, turns.back());
  }
  return turns;
}

// "A cat at the top left, a dog at the top right and a bus at the bottom left"
std::string ListWithPlaces(const Art& art, const Composition& scene) {
  std::string list;
  for (size_t i = 0; i < scene.items.size(); ++i) {
    const Item& item = scene.items[i];
    if (i > 0) list += i + 1 == scene.items.size() ? " and " : ", ";
    list += Indefinite(art.concepts()[static_cast<size_t>(item.concept_index)]);
    list.append(" ").append(PlacePhrase(item.place));
  }
  return list;
}

}  // namespace

std::string Describe(const Art& art, const Composition& scene) {
  const std::string ground = std::string("on ") + WithArticle(scene.color->name) + " background";
  const Concept* thing = scene.items.empty()
                             ? nullptr
                             : &art.concepts()[static_cast<size_t>(scene.items[0].concept_index)];
  switch (scene.layout) {
    case Layout::kPair:
    case Layout::kGroup:
      return Sentence(ListWithPlaces(art, scene) + ", " + ground);
    case Layout::kAlike:
      return Sentence(NumberWord(static_cast<int>(scene.items.size())) + " " + thing->plural + " " +
                      ground);
    case Layout::kText:
      return Sentence(std::string("the text ") + Quoted(scene.text) + " " + ground);
    case Layout::kTextAndThing:
      return Sentence(Indefinite(*thing) + " with the text " + Quoted(scene.text) +
                      (scene.text_place == Place::kTop ? " above " : " below ") +
                      (IsPlural(*thing) ? "them" : "it") + ", " + ground);
    default:
      return Sentence(Indefinite(*thing) + " " + ground);
  }
}

std::vector<Turn> AskAbout(const Art& art, const Composition& scene, int count, Random& random) {
  return Interviewer(art, scene, random).Ask(count);
}

}  // namespace fastvlm::train
