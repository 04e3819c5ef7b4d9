// The server's OpenAI-compatible API, as far as the page needs it.
import {device, tab} from './store.js';

let key = tab.get('key', null) ?? device.get('key', '');

export function setKey(value, remember) {
  key = value;
  tab.set('key', value);
  if (remember) device.set('key', value);
  else device.remove('key');
}

// kind: 'gone' (no server), 'loading', 'key', 'busy', 'refused' (the request was wrong), 'failed'.
export class ServerError extends Error {
  constructor(kind, message, retryMs = 0) {
    super(message);
    this.kind = kind;
    this.retryMs = retryMs;
  }
}

function kindOf(status) {
  if (status === 401) return 'key';
  if (status === 429) return 'busy';
  if (status === 503) return 'loading';
  if (status === 502) return 'gone';  // a proxy in front of no server
  return status < 500 ? 'refused' : 'failed';
}

async function request(path, options = {}) {
  const headers = {...options.headers};
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(path, {...options, headers, cache: 'no-store'});
  } catch (error) {
    if (options.signal?.aborted) throw options.signal.reason ?? error;
    throw new ServerError('gone', 'The server does not answer.');
  }
  if (response.ok) return response;
  let message = `The server answered with status ${response.status}.`;
  try {
    const {error} = await response.json();
    message = error?.message ?? error ?? message;
  } catch { /* not JSON */ }
  const seconds = Number(response.headers.get('Retry-After'));
  throw new ServerError(kindOf(response.status), message, seconds > 0 ? seconds * 1000 : 1000);
}

// The served models, as in the API's answer; the first is the one to ask.
export async function models(timeoutMs = 5000) {
  try {
    const response = await request('v1/models', {signal: AbortSignal.timeout(timeoutMs)});
    return (await response.json()).data ?? [];
  } catch (error) {
    if (error instanceof ServerError) throw error;
    throw new ServerError('gone', 'The server does not answer.');
  }
}

// Yields the data of each server-sent event of a body; lines may be cut anywhere between chunks.
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  let data = [];
  try {
    for (;;) {
      const {value, done} = await reader.read();
      if (done) return;
      rest += value;
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        if (line === '') {
          if (data.length) yield data.join('\n');
          data = [];
        } else if (line.startsWith('data:')) {
          data.push(line.slice(line[5] === ' ' ? 6 : 5));
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

// Asks about a picture (a data URL) and calls onText with each new piece of the answer.
// Returns {usage, timings, finish}, as far as the server says them.
export async function ask({model, picture, prompt, resolution, maxTokens, signal, onText}) {
  const body = {
    model,
    messages: [{role: 'user', content: [
      {type: 'image_url', image_url: {url: picture}},
      {type: 'text', text: prompt},
    ]}],
    max_tokens: maxTokens,
    temperature: 0,
    stream: true,
    stream_options: {include_usage: true},
    background: 'white',  // what a viewer shows behind a transparent picture
  };
  if (resolution) body.resolution = Number(resolution);
  const response = await request('v1/chat/completions', {
    method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body), signal});
  const result = {usage: null, timings: null, finish: null};
  let ended = false;
  try {
    for await (const data of events(response.body)) {
      if (data === '[DONE]') {
        ended = true;
        break;
      }
      const chunk = JSON.parse(data);
      if (chunk.error) throw new ServerError('failed', chunk.error.message ?? String(chunk.error));
      const choice = chunk.choices?.[0];
      if (choice?.delta?.content) onText(choice.delta.content);
      result.finish = choice?.finish_reason ?? result.finish;
      result.usage = chunk.usage ?? result.usage;
      result.timings = chunk.timings ?? result.timings;
    }
  } catch (error) {
    if (signal?.aborted) throw signal.reason ?? error;
    if (error instanceof ServerError) throw error;
    throw new ServerError('gone', 'The connection broke before the answer was complete.');
  }
  if (!ended) throw new ServerError('gone', 'The connection broke before the answer was complete.');
  return result;
}
