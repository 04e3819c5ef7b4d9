// The Vercel AI SDK against fastvlm serve, through chat completions and responses. The answers are
// compared with the command line's. Run by tests/server/ai_sdk_test.py:
//   node ai_test.mjs URL PICTURE EXPECTED_ANSWER
import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {test} from 'node:test';

import {createOpenAI} from '@ai-sdk/openai';
import {createOpenAICompatible} from '@ai-sdk/openai-compatible';
import {generateText, Output, streamText} from 'ai';
import {z} from 'zod';

const [url, picture, expected] = process.argv.slice(2);
const baseURL = `${url}/v1`;
const openai = createOpenAI({baseURL, apiKey: 'none'});
const models = {
  'openai-compatible': createOpenAICompatible(
      {name: 'fastvlm', baseURL, supportsStructuredOutputs: true})('nano'),
  'openai chat': openai.chat('nano'),
  'openai responses': openai.responses('nano'),
};
const messages = [{
  role: 'user',
  content: [{type: 'image', image: readFileSync(picture)}, {type: 'text', text: 'Describe the image.'}],
}];
const schema = z.object({kind: z.enum(['photo', 'drawing']), people: z.boolean()});

for (const [name, model] of Object.entries(models)) {
  test(`${name}: whole`, async () => {
    const answer = await generateText({model, messages, maxRetries: 0});
    assert.equal(answer.text, expected);
    assert.equal(answer.finishReason, 'stop');
    assert.ok(answer.usage.inputTokens > answer.usage.outputTokens);
  });

  test(`${name}: streamed`, async () => {
    const stream = streamText({model, messages, maxRetries: 0});
    const parts = [];
    for await (const part of stream.textStream) parts.push(part);
    assert.equal(parts.join(''), expected);
    assert.ok(parts.length > 1);
    assert.equal(await stream.finishReason, 'stop');
  });

  test(`${name}: cut`, async () => {
    const answer = await generateText({model, messages, maxOutputTokens: 2, maxRetries: 0});
    assert.equal(answer.finishReason, 'length');
    assert.equal(answer.usage.outputTokens, 2);
  });

  test(`${name}: an object`, async () => {
    const answer = await generateText(
        {model, messages, output: Output.object({schema}), maxOutputTokens: 100, maxRetries: 0});
    assert.deepEqual(Object.keys(answer.output), ['kind', 'people']);
    schema.parse(answer.output);
  });
}
