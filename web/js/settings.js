// The dialogs, the appearance, and the two choices under the question.
import {isNano, own} from './questions.js';
import {device} from './store.js';

const $ = (id) => document.getElementById(id);
const THEMES = ['auto', 'light', 'dark'];
const LENGTHS = [[16, 'a few words'], [64, 'a sentence'], [160, 'short'], [512, 'long'], [1024, 'very long']];

function options(select, entries, chosen) {
  select.replaceChildren(...entries.map(([value, text]) => new Option(text, value)));
  select.value = entries.some(([value]) => String(value) === String(chosen)) ? chosen : entries[0][0];
}

function setTheme(theme) {
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem('fastvlm.theme', theme);  // plain text: theme.js reads it
  } catch { /* forgotten with the page */ }
  $('appearance').value = theme;
  $('theme').setAttribute('aria-label', `Appearance: ${theme}`);
  $('theme').title = `Appearance: ${theme}`;
  const dark = theme === 'dark' || theme === 'auto' && matchMedia('(prefers-color-scheme: dark)').matches;
  document.querySelector('meta[name=theme-color]').content = dark ? '#121415' : '#f5f4f0';
}

// The sizes the picture is brought to. '' leaves it to the server.
export function setUpChoices(model) {
  const unit = model?.pixels_per_token ?? 64;
  const sizes = (isNano(model) ? [192, 256, 320] : [256, 384, 512, 768, 1024]).filter((size) => size % unit === 0);
  const entries = [['', 'automatic'], ...sizes.map((size) => [size, `${size} × ${size}`])];
  options($('resolution'), entries, device.get('resolution', ''));
  options($('length'), LENGTHS, device.get('length', 160));
  $('about-model').textContent = !model ? '' : isNano(model) ?
      `Model: ${model.id}, which comes with the program. It knows simple drawings and short printed text in capitals, not photographs.` :
      `Model: ${model.id}`;
}

// onOwn is called when the user's questions have changed.
export function setUpSettings({onOwn, onSensitivity}) {
  for (const name of ['resolution', 'length']) {
    $(name).addEventListener('change', () => device.set(name, $(name).value));
  }
  setTheme(document.documentElement.dataset.theme ?? 'auto');
  $('appearance').addEventListener('change', () => setTheme($('appearance').value));
  $('theme').addEventListener('click', () => {
    setTheme(THEMES[(THEMES.indexOf($('appearance').value) + 1) % THEMES.length]);
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => setTheme($('appearance').value));

  $('sensitivity').value = device.get('sensitivity', '0.06');
  const sensitivity = () => {
    device.set('sensitivity', $('sensitivity').value);
    onSensitivity(Number($('sensitivity').value));
  };
  $('sensitivity').addEventListener('change', sensitivity);
  sensitivity();
  $('shortcuts').checked = device.get('shortcuts', true);
  $('shortcuts').addEventListener('change', () => device.set('shortcuts', $('shortcuts').checked));

  const drawOwn = () => {
    const items = own.all().map(({name, text}) => {
      const words = document.createElement('span');
      words.textContent = `${name}: ${text}`;
      const remove = document.createElement('button');
      remove.type = 'button';
      remove.className = 'quiet';
      remove.textContent = 'Remove';
      remove.setAttribute('aria-label', `Remove ${name}`);
      remove.addEventListener('click', () => {
        own.remove(name);
        drawOwn();
        onOwn();
      });
      const item = document.createElement('li');
      item.append(words, remove);
      return item;
    });
    if (items.length === 0) {
      const item = document.createElement('li');
      item.className = 'hint';
      item.textContent = 'None yet. The plus under the question keeps one.';
      items.push(item);
    }
    $('own').replaceChildren(...items);
  };
  $('open-settings').addEventListener('click', () => {
    drawOwn();
    $('settings').showModal();
  });
  // A click beside a dialog closes it.
  for (const dialog of document.querySelectorAll('dialog')) {
    dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
  }

  $('keep').addEventListener('click', () => {
    const text = $('prompt').value.trim();
    if (!text) {
      $('prompt').focus();
      return;
    }
    $('keep-name').value = text.split(/\s+/).slice(0, 3).join(' ').slice(0, 24);
    $('keep-dialog').showModal();
    $('keep-name').select();
  });
  $('keep-cancel').addEventListener('click', () => $('keep-dialog').close());
  $('keep-form').addEventListener('submit', (event) => {
    event.preventDefault();
    const name = $('keep-name').value.trim();
    if (!name) return;
    own.add(name, $('prompt').value.trim());
    $('keep-dialog').close();
    onOwn();
  });
}
