// The answer's card: text as it comes, and how long it took.
const $ = (id) => document.getElementById(id);

export function milliseconds(value) {
  if (!(value >= 0)) return '–';
  if (value < 10) return `${value.toFixed(1)} ms`;
  return value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(value < 10000 ? 2 : 1)} s`;
}

function rate(value) {
  if (!(value > 0) || !Number.isFinite(value)) return '–';
  const text = value < 10 ? value.toFixed(1) : value < 9999.5 ? Math.round(value) : `${Math.round(value / 1000)}k`;
  return `${text} tokens/s`;
}

export const answer = {
  // The answer before stays, dimmed, until there is something to put in its place.
  begin(question) {
    const card = $('answer');
    card.dataset.state = $('text').textContent ? 'waiting' : 'first';
    card.setAttribute('aria-busy', 'true');
    $('question').textContent = question;
    $('copy').disabled = true;
  },

  write(text, ttftMs) {
    $('answer').dataset.state = 'streaming';
    $('text').textContent = text;
    $('ttft').textContent = milliseconds(ttftMs);
    $('speed').textContent = '–';
    $('tokens').textContent = '–';
    $('timings').hidden = true;
  },

  // figures: {ttft, speed, tokensIn, tokensOut, timings}; ttft and speed are measured here, from the
  // moment of asking, the timings on the server.
  end(text, figures, cut) {
    const card = $('answer');
    card.dataset.state = 'done';
    card.removeAttribute('aria-busy');
    $('text').textContent = text || '(no answer)';
    if (cut) $('text').textContent += ' …';
    $('copy').disabled = !text;
    $('ttft').textContent = milliseconds(figures.ttft);
    $('speed').textContent = rate(figures.speed);
    $('tokens').textContent = figures.tokensOut ? `${figures.tokensIn} in, ${figures.tokensOut} out` : '–';
    this.timings(figures.timings);
  },

  // The answer was stopped or failed. The words that are there stay.
  halt() {
    const card = $('answer');
    card.removeAttribute('aria-busy');
    card.dataset.state = $('text').textContent ? 'done' : 'empty';
    $('copy').disabled = !$('text').textContent;
  },

  timings(timings) {
    $('timings').hidden = !timings;
    if (!timings) return;
    const names = ['image', 'encode', 'prefill', 'decode'];
    const bars = document.querySelectorAll('.timings .bars i');
    names.forEach((name, i) => {
      const value = timings[`${name}_ms`] ?? 0;
      $(`${name}-ms`).textContent = milliseconds(value);
      if (name === 'encode' && value === 0) $('encode-ms').textContent = 'known';  // from an earlier question
      bars[i].style.flexGrow = String(value);
    });
  },
};

export function setUpCopy() {
  $('copy').addEventListener('click', async () => {
    const text = $('text').textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Without https there is no clipboard to write to, so this is done the old way.
      const area = document.createElement('textarea');
      area.value = text;
      area.className = 'unseen';
      document.body.append(area);
      area.select();
      document.execCommand('copy');
      area.remove();
      $('copy').focus();
    }
    const icon = $('copy').querySelector('use');
    icon.setAttribute('href', '#i-check');
    $('announce').textContent = 'Copied';
    setTimeout(() => icon.setAttribute('href', '#i-copy'), 1500);
  });
}
