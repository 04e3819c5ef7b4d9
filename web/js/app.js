// The page: joins picture, question, server and answer.
import {answer, setUpCopy} from './answer.js';
import * as api from './api.js';
import {ChangeGate} from './change_gate.js';
import {Connection} from './connection.js';
import {History} from './history.js';
import {thumbnail, toDataUrl} from './pictures.js';
import {SAMPLES, isNano, own, presets} from './questions.js';
import {setUpChoices, setUpSettings} from './settings.js';
import {Stage} from './stage.js';
import {device} from './store.js';

const $ = (id) => document.getElementById(id);
const LOOK_MS = 200;        // between two looks at a live picture
const RETRIES = 5;          // of a question that a busy server turned away

const stage = new Stage();
const connection = new Connection();
const gate = new ChangeGate();
const earlier = new History((entry) => {
  stop();
  $('prompt').value = entry.question;
  showQuestion();
  answer.begin(entry.question);
  answer.end(entry.text, entry.figures, entry.cut);
  $('answer').scrollIntoView({block: 'nearest'});
});
let running = null;         // the AbortController of the question under way: one at a time
let owed = false;           // a question failed because the server was away or wanted a key
let live = false;
let notBefore = 0;          // live mode rests until then

function notice(text) {
  $('notice').textContent = text;
  $('notice').hidden = !text;
}

// ---- asking ----

function stop() {
  running?.abort();
  running = null;
  answer.halt();
  showRunning();
}

async function ask({byLive = false, retries = RETRIES} = {}) {
  const prompt = $('prompt').value.trim();
  if (!prompt) {
    $('prompt').focus();
    return;
  }
  if (stage.source === 'none') {
    notice('There is no picture yet: turn on the camera, or choose one.');
    return;
  }
  running?.abort();
  const controller = new AbortController();
  running = controller;
  owed = false;
  if (connection.state === 'ready') notice('');
  showRunning();
  answer.begin(prompt);
  const begin = performance.now();
  let first = 0;
  let last = 0;
  let text = '';
  try {
    const blob = await stage.grab();
    const picture = await toDataUrl(blob);
    const result = await api.ask({
      model: connection.model?.id ?? 'fastvlm', picture, prompt, signal: controller.signal,
      resolution: $('resolution').value, maxTokens: Number($('length').value),
      onText(piece) {
        if (running !== controller) return;
        last = performance.now();
        first ||= last;
        text += piece;
        answer.write(text.trimStart(), first - begin);
      },
    });
    if (running !== controller) return;
    text = text.trim();
    const tokensOut = result.usage?.completion_tokens ?? 0;
    // The first token is the prompt's work, the others the decoder's. Tokens do not arrive faster than they
    // are made: when they come bundled, the server's own figure is the true one.
    const arrived = tokensOut > 1 && last > first ? (tokensOut - 1) / (last - first) * 1000 : Infinity;
    const figures = {
      ttft: first ? first - begin : NaN,
      speed: Math.min(arrived, result.timings?.decode_tokens_per_s ?? Infinity),
      tokensIn: result.usage?.prompt_tokens ?? 0,
      tokensOut,
      timings: result.timings,
    };
    const cut = result.finish === 'length';
    answer.end(text, figures, cut);
    $('announce').textContent = text;
    earlier.add({question: prompt, text, figures, cut, thumbnail: await thumbnail(blob)}, byLive);
  } catch (error) {
    if (running !== controller) return;
    answer.halt();
    failed(error, {byLive, retries});
  } finally {
    if (running === controller) running = null;
    showRunning();
  }
}

function failed(error, {byLive, retries}) {
  gate.reset();  // live mode asks about the same scene again
  if (error.kind === 'busy') {
    const seconds = Math.ceil(error.retryMs / 1000);
    notBefore = performance.now() + error.retryMs;
    if (retries === 0) {
      notice('The server is busy. Try again later.');
    } else {
      notice(`The server is busy. Asking again in ${seconds} s.`);
      if (!byLive) setTimeout(() => !running && ask({retries: retries - 1}), error.retryMs);
    }
  } else if (['gone', 'loading', 'key'].includes(error.kind)) {
    owed = !byLive;
    notBefore = performance.now() + 1000;
    connection.check().then(() => {
      // The server is there all the same; only this one connection broke.
      if (!owed || connection.state !== 'ready') return;
      owed = false;
      if (retries === 0) notice(error.message);
      else setTimeout(() => !running && ask({retries: retries - 1}), 500);
    });
  } else {
    if (live) setLive(false);
    notice(error.message);
  }
}

function showRunning() {
  const send = $('send');
  send.setAttribute('aria-label', running ? 'Stop' : 'Ask');
  send.title = running ? 'Stop (Esc)' : 'Ask (Enter)';
  send.querySelector('use').setAttribute('href', running ? '#i-stop' : '#i-send');
  send.classList.toggle('busy', running !== null);
}

// ---- the server ----

const STATES = {
  connecting: ['Connecting', ''],
  loading: ['Loading the model', 'The model is being loaded; the question can be asked in a moment.'],
  key: ['Key needed', ''],
  refused: ['Refused', null],
  gone: ['No server', 'The server does not answer. Looking for it again.'],
};

connection.addEventListener('change', ({detail: {before}}) => {
  const {state, model} = connection;
  const [label, words] = STATES[state] ?? [model?.id.split('/').pop() ?? 'Ready', ''];
  $('status').dataset.state = state;
  if ($('status-text').textContent !== label) $('status-text').textContent = label;
  $('key-form').hidden = state !== 'key';
  if (state === before) return;
  notice(words ?? connection.message);
  if (state === 'key') $('key').focus();
  if (state === 'ready') {
    setUpChoices(model);
    // The first question stood there before the model was known.
    if ($('prompt').value === presets(null)[0].text) $('prompt').value = presets(model)[0].text;
    showQuestions();
    gate.reset();
    if (owed && !running) ask();
  }
});

$('key-form').addEventListener('submit', (event) => {
  event.preventDefault();
  api.setKey($('key').value, $('key-keep').checked);
  $('key').value = '';
  connection.check().then(() => connection.state === 'key' && notice('The server does not take this key.'));
});

// ---- questions ----

function showQuestions() {
  const known = [...presets(connection.model), ...own.all()];
  $('chips').replaceChildren(...known.map(({name, text}) => {
    const chip = document.createElement('button');
    chip.type = 'button';
    chip.className = 'chip';
    chip.textContent = name;
    chip.title = text;
    chip.dataset.text = text;
    chip.addEventListener('click', () => {
      $('prompt').value = text;
      showQuestion();
      askAnew();
    });
    return chip;
  }));
  showQuestion();
}

function showQuestion() {
  const text = $('prompt').value.trim();
  for (const chip of $('chips').children) chip.setAttribute('aria-pressed', String(chip.dataset.text === text));
}

// Another question about what is there; without a picture it waits in its field.
function askAnew() {
  if (stage.source === 'none') return;
  gate.reset();
  if (live && stage.watching) gate.pass(stage.signature());
  ask();
}

$('prompt').addEventListener('input', showQuestion);
$('prompt').addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $('ask').requestSubmit();
});
$('ask').addEventListener('submit', (event) => {
  event.preventDefault();
  if (running && document.activeElement !== $('prompt')) {
    stop();
  } else if (stage.source === 'none') {
    ask();
  } else {
    askAnew();
  }
});

// ---- the picture ----

async function take(file, alt) {
  if (!file) return;
  setLive(false);
  try {
    await stage.take(file, alt);
  } catch {
    notice('This is no picture that the browser can read.');
  }
}

function takeFirst(files, alt) {
  return take([...files].find(({type}) => type.startsWith('image/')) ?? files[0], alt);
}

for (const input of [$('file'), $('photo')]) {
  input.addEventListener('change', () => {
    takeFirst(input.files, 'Your picture');
    input.value = '';
  });
}
addEventListener('paste', (event) => {
  if (!event.clipboardData?.files.length) return;
  event.preventDefault();
  takeFirst(event.clipboardData.files, 'The pasted picture');
});
let dragDepth = 0;
addEventListener('dragenter', (event) => {
  if (!event.dataTransfer?.types.includes('Files')) return;
  ++dragDepth;
  document.body.classList.add('dragging');
});
addEventListener('dragleave', () => {
  dragDepth = Math.max(0, dragDepth - 1);
  document.body.classList.toggle('dragging', dragDepth > 0);
});
addEventListener('dragover', (event) => event.dataTransfer?.types.includes('Files') && event.preventDefault());
addEventListener('drop', (event) => {
  if (!event.dataTransfer?.files.length) return;  // words into the question
  event.preventDefault();
  dragDepth = 0;
  document.body.classList.remove('dragging');
  takeFirst(event.dataTransfer.files, 'The dropped picture');
});

$('samples').replaceChildren(...SAMPLES.map((sample) => {
  const button = document.createElement('button');
  button.type = 'button';
  button.title = sample.alt;
  const picture = document.createElement('img');
  picture.src = `samples/${sample.file}`;
  picture.alt = `Sample: ${sample.alt}`;
  picture.width = picture.height = 64;
  button.append(picture);
  button.addEventListener('click', async () => {
    const typed = $('prompt').value.trim();
    const ready = [...presets(connection.model), ...SAMPLES.map(({question}) => ({text: question}))];
    if (isNano(connection.model) && (!typed || ready.some(({text}) => text === typed))) {
      $('prompt').value = sample.question;
      showQuestion();
    }
    try {
      const response = await fetch(picture.src);
      await take(await response.blob(), sample.alt);
    } catch {
      notice('The sample could not be loaded.');
    }
  });
  const item = document.createElement('li');
  item.append(button);
  return item;
}));

stage.addEventListener('picture', () => ask());
stage.addEventListener('change', () => {
  const on = stage.camera.on;
  press($('camera'), on);
  press($('pause'), stage.paused);
  $('pause').disabled = !on;
  $('pause').querySelector('use').setAttribute('href', stage.paused ? '#i-play' : '#i-pause');
  $('pause').querySelector('span').textContent = stage.paused ? 'Go on' : 'Pause';
  $('flip').disabled = !on || stage.camera.cameras.length < 2;
  if (!on && live) setLive(false);
  showBadge();
});

function press(button, pressed) {
  button.setAttribute('aria-pressed', String(pressed));
}

function showBadge() {
  const text = stage.paused ? 'Paused' : live ? 'Live' : '';
  $('badge').textContent = text;
  $('badge').hidden = !text;
  $('badge').classList.toggle('pulse', text === 'Live');
}

async function toggleCamera() {
  if (stage.camera.on) {
    stage.stop();
  } else {
    await stage.start();
  }
}

async function togglePause() {
  if (!stage.camera.on) return;
  await (stage.paused ? stage.resume() : stage.pause());
}

$('camera').addEventListener('click', toggleCamera);
$('message-camera').addEventListener('click', async () => {
  await toggleCamera();
  // The button under the finger is gone.
  if (stage.camera.on) $('camera').focus();
});
$('pause').addEventListener('click', togglePause);
$('flip').addEventListener('click', () => {
  gate.reset();
  stage.next();
});

// ---- live ----

let wakeLock = null;

async function setLive(on) {
  if (on && !stage.camera.on && !await stage.start()) on = false;
  if (on && stage.paused) await stage.resume();
  if (live === on) return;
  live = on;
  press($('live'), live);
  showBadge();
  gate.reset();
  try {
    if (live) {
      wakeLock = await navigator.wakeLock?.request('screen');
    } else {
      await wakeLock?.release();
      wakeLock = null;
    }
  } catch { /* the screen may go dark then */ }
}

$('live').addEventListener('click', () => setLive(!live));

// One question at a time, and always the newest frame: what came in between is never sent.
setInterval(() => {
  if (!live || running || document.hidden || !stage.watching) return;
  if (connection.state !== 'ready' || performance.now() < notBefore) return;
  const frame = stage.signature();
  if (!gate.look(frame, performance.now())) return;
  gate.pass(frame);
  ask({byLive: true});
}, LOOK_MS);

// ---- keys ----

addEventListener('keydown', (event) => {
  if (document.querySelector('dialog[open]')) return;
  if (event.key === 'Escape' && running) {
    stop();
    return;
  }
  const writing = event.target.closest?.('input:not([type=checkbox]):not([type=file]), textarea, select');
  if (writing || event.ctrlKey || event.metaKey || event.altKey || !device.get('shortcuts', true)) return;
  const actions = {'/': () => $('prompt').focus(), c: toggleCamera, p: togglePause, l: () => setLive(!live)};
  const action = actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

// ---- start ----

setUpCopy();
setUpSettings({onOwn: showQuestions, onSensitivity: (threshold) => gate.threshold = threshold});
setUpChoices(null);
$('prompt').value = presets(null)[0].text;
showQuestions();
if (!window.isSecureContext || !navigator.mediaDevices) stage.say('insecure');
connection.start();
// Without https, or with a certificate the device does not trust, the page works but does not stay.
navigator.serviceWorker?.register('sw.js').catch(() => {});
