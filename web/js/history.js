// Earlier answers, newest first, kept until the tab is closed.
import {milliseconds} from './answer.js';
import {tab} from './store.js';

const LONGEST = 30;
const $ = (id) => document.getElementById(id);

export class History {
  #entries = tab.get('history', []);
  #onOpen;

  constructor(onOpen) {
    this.#onOpen = onOpen;
    $('clear').addEventListener('click', () => {
      this.#entries = [];
      this.#keep();
    });
    this.#draw();
  }

  // entry: {question, text, thumbnail, figures}. The same answer to the same question again is no
  // news in live mode.
  add(entry, live) {
    const [newest] = this.#entries;
    if (live && newest?.question === entry.question && newest.text === entry.text) return;
    this.#entries = [entry, ...this.#entries].slice(0, LONGEST);
    this.#keep();
  }

  #keep() {
    // Pictures go first when the storage is full.
    if (!tab.set('history', this.#entries)) {
      tab.set('history', this.#entries.map((entry) => ({...entry, thumbnail: null})));
    }
    this.#draw();
  }

  #draw() {
    $('history').hidden = this.#entries.length === 0;
    $('history-list').replaceChildren(...this.#entries.map((entry) => {
      const button = document.createElement('button');
      button.type = 'button';
      const picture = document.createElement(entry.thumbnail ? 'img' : 'span');
      picture.className = 'thumbnail';
      if (entry.thumbnail) {
        picture.src = entry.thumbnail;
        picture.alt = '';
      }
      const words = document.createElement('span');
      words.className = 'words';
      for (const [name, text] of [['q', entry.question], ['a', entry.text]]) {
        const line = document.createElement('span');
        line.className = name;
        line.textContent = text;
        words.append(line);
      }
      const time = document.createElement('span');
      time.className = 'time';
      time.textContent = milliseconds(entry.figures.ttft);
      time.title = 'Time to the first token';
      button.append(picture, words, time);
      button.addEventListener('click', () => this.#onOpen(entry));
      const item = document.createElement('li');
      item.append(button);
      return item;
    }));
  }
}
