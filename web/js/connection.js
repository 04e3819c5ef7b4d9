// Watches whether the server is there: 'connecting', 'ready', 'loading', 'key', 'refused' or
// 'gone'.
import {models} from './api.js';

const READY_MS = 15000;
const LOADING_MS = 1000;
const GONE_MS = [1000, 2000, 4000, 8000];

export class Connection extends EventTarget {
  state = 'connecting';
  model = null;   // the entry of /v1/models
  message = '';   // the server's words when it refused
  #timer = 0;
  #failures = 0;
  #checking = null;  // the look that is under way

  start() {
    addEventListener('online', () => this.check());
    document.addEventListener('visibilitychange', () => document.hidden || this.check());
    return this.check();
  }

  // Called as well when a request elsewhere fails in a way that says something about the server.
  check() {
    this.#checking ??= this.#look().finally(() => this.#checking = null);
    return this.#checking;
  }

  async #look() {
    clearTimeout(this.#timer);
    try {
      const served = await models();
      this.model = served[0] ?? null;
      this.#become('ready');
    } catch (error) {
      this.message = error.message;
      this.#become(['key', 'loading', 'refused'].includes(error.kind) ? error.kind : 'gone');
    }
    this.#failures = ['gone', 'refused'].includes(this.state) ? this.#failures + 1 : 0;
    // A hidden page asks nothing; it looks again when it is shown.
    if (!document.hidden && this.state !== 'key') this.#timer = setTimeout(() => this.check(), this.#pause());
  }

  #pause() {
    if (this.state === 'ready') return READY_MS;
    if (this.state === 'loading') return LOADING_MS;
    return GONE_MS[Math.min(this.#failures, GONE_MS.length) - 1];
  }

  #become(state) {
    const before = this.state;
    this.state = state;
    this.dispatchEvent(new CustomEvent('change', {detail: {before}}));
  }
}
