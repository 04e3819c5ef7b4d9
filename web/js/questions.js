// Ready questions, the user's own, and sample pictures.
import {device} from './store.js';

const GENERAL = [
  {name: 'Describe', text: 'Describe the image in one or two sentences.'},
  {name: 'Expression', text: 'What is the facial expression of this person? Answer in one or two words.'},
  {name: 'Read text', text: 'What is written in this image? Answer with the text only.'},
  {name: 'Count', text: 'Which objects are in this image, and how many of each? Answer with a short list.'},
  {name: 'Emoji', text: 'Which emoji suits this image best? Answer with emoji only.'},
];

// The bundled model answers the kinds of questions it was trained on and no others
// (models/nano/MODEL_CARD.md).
const NANO = [
  {name: 'Describe', text: 'Describe the image.'},
  {name: 'Name', text: 'What is this?'},
  {name: 'Read text', text: 'What is written here?'},
  {name: 'Count', text: 'How many objects are there?'},
  {name: 'Color', text: 'What color is the background?'},
  {name: 'Left', text: 'What is on the left?'},
];

export function isNano(model) {
  return /nano/i.test(model?.id ?? '');
}

export function presets(model) {
  return isNano(model) ? NANO : GENERAL;
}

export const own = {
  all: () => device.get('questions', []),
  add(name, text) {
    device.set('questions', [...own.all().filter((one) => one.name !== name), {name, text}]);
  },
  remove(name) {
    device.set('questions', own.all().filter((one) => one.name !== name));
  },
};

// question: what suits the picture when the small model is asked.
export const SAMPLES = [
  {file: 'demo.png', alt: 'An alien and a lobster', question: 'Describe the image.'},
  {file: 'fox.png', alt: 'A fox and a fountain', question: 'What is on the left?'},
  {file: 'count.png', alt: 'Bananas', question: 'How many bananas are there?'},
  {file: 'one.png', alt: 'A cat', question: 'What is in the picture?'},
  {file: 'group.png', alt: 'A motor scooter, a train, a flashlight and a fried egg', question: 'Describe this picture.'},
  {file: 'word.png', alt: 'The word TEST', question: 'What does the text say?'},
];
