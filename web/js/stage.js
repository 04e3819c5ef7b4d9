// What the page looks at: the camera or a still picture. Without either it says what to do.
import {Camera} from './camera.js';
import {fromFile, fromVideo, signature} from './pictures.js';

const $ = (id) => document.getElementById(id);

const MESSAGES = {
  none: {
    title: 'Show it something',
    text: 'Turn on the camera, drop or paste a picture, or try one below.',
    camera: true,
  },
  denied: {
    title: 'The camera is not allowed',
    text: 'Allow it for this page: in the browser, the icon to the left of the address. Then turn it on again.',
    camera: true,
  },
  none_found: {
    title: 'No camera found',
    text: 'Connect one and try again, or use a picture.',
    camera: true,
  },
  busy: {
    title: 'The camera is in use',
    text: 'Another program seems to hold it. Close that one and try again.',
    camera: true,
  },
  failed: {
    title: 'The camera did not start',
    text: 'Try again, or use a picture.',
    camera: true,
  },
  lost: {
    title: 'The camera went away',
    text: 'It was unplugged, or taken by another program.',
    camera: true,
  },
  insecure: {
    title: 'The camera needs https',
    text: 'Browsers give the camera to https pages and to localhost only. Start the server with a certificate and open the ' +
        'https address. Until then, photos and pictures work.',
    code: 'fastvlm serve --host 0.0.0.0 \\\n  --tls-cert cert.pem --tls-key key.pem',
  },
};

// Events: 'picture', a new still to ask about; 'change', anything else that buttons depend on.
export class Stage extends EventTarget {
  #video = $('video');
  #still = $('still');
  #blob = null;      // the still, or the frame on which the camera was paused
  camera = new Camera(this.#video);
  paused = false;

  constructor() {
    super();
    this.say('none');
    this.camera.addEventListener('lost', () => this.#changed('lost'));
    this.#still.addEventListener('error', () => this.#still.classList.add('unseen-still'));
  }

  get source() {
    if (this.camera.on) return 'camera';
    return this.#blob ? 'still' : 'none';
  }

  // Whether frames come in that may be compared.
  get watching() {
    return this.camera.on && !this.paused && this.#video.readyState >= 2;
  }

  say(kind) {
    const message = MESSAGES[kind];
    $('message-title').textContent = message.title;
    $('message-text').textContent = message.text;
    $('message-code').textContent = message.code ?? '';
    $('message-code').hidden = !message.code;
    $('message-camera').hidden = !message.camera;
    $('stage').dataset.show = 'message';
    $('stage').dataset.message = kind;
  }

  // Whether it started; if not, the stage says why.
  async start() {
    return this.#run(() => this.camera.start());
  }

  async next() {
    return this.#run(() => this.camera.next());
  }

  async #run(action) {
    $('stage').setAttribute('aria-busy', 'true');
    try {
      await action();
    } catch (error) {
      this.camera.stop();
      this.#blob = null;
      this.#changed(error.kind === 'none' ? 'none_found' : error.kind ?? 'failed');
      return false;
    } finally {
      $('stage').removeAttribute('aria-busy');
    }
    this.#blob = null;
    this.paused = false;
    $('stage').dataset.show = 'video';
    this.#changed();
    return true;
  }

  stop() {
    this.camera.stop();
    this.#blob = null;
    this.#changed('none');
  }

  async pause() {
    this.#video.pause();
    this.paused = true;
    this.#blob = await fromVideo(this.#video);
    this.#changed();
  }

  async resume() {
    this.paused = false;
    this.#blob = null;
    await this.#video.play();
    this.#changed();
  }

  // A file, or the bytes of a sample. Throws if it is no picture.
  async take(file, alt) {
    const blob = await fromFile(file);
    this.camera.stop();
    this.paused = false;
    this.#blob = blob;
    if (this.#still.src) URL.revokeObjectURL(this.#still.src);
    this.#still.classList.remove('unseen-still');
    this.#still.src = URL.createObjectURL(blob);
    this.#still.alt = alt;
    $('stage').dataset.show = 'still';
    this.#changed();
    this.dispatchEvent(new Event('picture'));
  }

  // The picture to send: the camera's newest frame, or always the same bytes for what stands still,
  // so that the server knows them again.
  async grab() {
    return this.#blob ?? fromVideo(this.#video);
  }

  signature() {
    return signature(this.#video);
  }

  #changed(message) {
    if (!this.camera.on) this.paused = false;
    if (message) this.say(message);
    this.dispatchEvent(new Event('change'));
  }
}
