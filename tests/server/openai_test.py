#!/usr/bin/env python3
"""The official openai package against fastvlm serve. Run by tests/server/run.sh."""
import asyncio
import json
from typing import Annotated, Literal, Optional

import openai
import pydantic

from harness import Server, described, eventually, image_message, run_tests

PROMPT = "Describe the image."
server = Server()
client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)


def ask(**fields):
    return client.chat.completions.create(model="nano", **fields)


def expect(error, **fields):
    try:
        ask(**fields)
    except error as caught:
        return caught
    raise AssertionError(f"no {error.__name__}")


def test_models():
    assert [model.id for model in client.models.list()] == ["nano"]
    assert client.models.retrieve("nano").id == "nano"
    try:
        client.models.retrieve("gpt-4o")
        raise AssertionError("gpt-4o is here?")
    except openai.NotFoundError as error:
        assert error.code == "model_not_found"


def test_an_image_is_described_as_on_the_command_line():
    answer = ask(messages=[image_message(PROMPT)])
    assert answer.choices[0].message.content == described(PROMPT)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.prompt_tokens_details.image_tokens > 0
    assert answer.timings["ttft_ms"] > 0


def test_streaming_with_usage():
    text, usage = "", None
    for chunk in ask(messages=[image_message(PROMPT)], stream=True,
                     stream_options={"include_usage": True}):
        if chunk.choices:
            text += chunk.choices[0].delta.content or ""
        usage = chunk.usage or usage
    assert text == described(PROMPT)
    assert usage.completion_tokens > 0


def test_a_client_that_goes_away_is_noticed():
    before = len(server.log)
    # The server finds the request and the closed connection at the same time. However fast it answers, it looks
    # at the connection before it sends anything.
    with server.stopped():
        expect(openai.APITimeoutError, messages=[image_message(PROMPT)], stream=True, timeout=0.5)
    assert eventually(lambda: any("client gone" in line for line in server.log[before:]))
    assert eventually(lambda: server.metric("fastvlm_requests_active") == 0)
    answer = ask(messages=[image_message(PROMPT)])  # nothing is stuck
    assert answer.choices[0].message.content == described(PROMPT)


def test_system_and_several_turns():
    answer = ask(messages=[{"role": "system", "content": "You are a helpful assistant."},
                           image_message("What is this?"),
                           {"role": "assistant", "content": "A picture."},
                           {"role": "user", "content": PROMPT}], max_tokens=20)
    assert answer.choices[0].message.content


def test_several_images_and_both_resolutions():
    both = image_message(PROMPT)
    both["content"] = image_message("", "fox.png")["content"][:1] + both["content"]
    one = ask(messages=[image_message(PROMPT)], max_tokens=5)
    two = ask(messages=[both], max_tokens=5)
    images = lambda answer: answer.usage.prompt_tokens_details.image_tokens
    assert images(two) == 2 * images(one)
    large = ask(messages=[image_message(PROMPT)], max_tokens=5, extra_body={"resolution": 512})
    assert images(large) == (512 // 32) ** 2


def test_sampling_length_and_stop():
    seeded = lambda seed: ask(messages=[image_message(PROMPT)], temperature=1.5, seed=seed,
                              max_tokens=20).choices[0].message.content
    assert seeded(1) == seeded(1)
    assert len({seeded(seed) for seed in range(6)}) > 1
    short = ask(messages=[image_message(PROMPT)], max_completion_tokens=2)
    assert short.choices[0].finish_reason == "length"
    assert short.usage.completion_tokens == 2
    whole = described(PROMPT)
    stop = whole.split()[2]
    cut = ask(messages=[image_message(PROMPT)], stop=[stop]).choices[0]
    assert cut.finish_reason == "stop"
    assert cut.message.content == whole.split(stop)[0].rstrip(), cut
    assert "".join(chunk.choices[0].delta.content or "" for chunk in ask(
        messages=[image_message(PROMPT)], stop=[stop], stream=True)) == cut.message.content


def test_logprobs():
    choice = ask(messages=[image_message(PROMPT)], logprobs=True, top_logprobs=3,
                 max_tokens=4).choices[0]
    assert len(choice.logprobs.content) == 4
    for token in choice.logprobs.content:
        assert token.logprob <= 0 and len(token.top_logprobs) == 3
        assert bytes(token.bytes).decode() == token.token


def test_json_schema():
    schema = {"type": "object", "properties": {"count": {"type": "integer", "minimum": 0, "maximum": 20},
                                               "kind": {"enum": ["photo", "drawing"]}},
              "required": ["count", "kind"], "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "picture", "schema": schema}}
    fields = {"messages": [image_message(PROMPT)], "response_format": form}
    for seed, temperature in enumerate((0, 1, 1, 2)):
        answer = ask(max_tokens=64, temperature=temperature, seed=seed, **fields)
        # The longest text that follows this schema has 32 characters.
        assert answer.choices[0].finish_reason == "stop", answer
        value = json.loads(answer.choices[0].message.content)
        assert list(value) == ["count", "kind"], value
        assert type(value["count"]) is int and 0 <= value["count"] <= 20, value
        assert value["kind"] in ("photo", "drawing"), value
    whole = ask(max_tokens=64, **fields).choices[0].message.content
    cut = ask(max_tokens=3, **fields)
    assert cut.choices[0].finish_reason == "length" and cut.usage.completion_tokens == 3
    text = cut.choices[0].message.content
    assert text and whole.startswith(text) and len(text) < len(whole), (text, whole)


class Picture(pydantic.BaseModel):
    kind: Literal["photo", "drawing"]
    count: Optional[Annotated[int, pydantic.Field(ge=0, le=20)]]
    tags: Annotated[list[Annotated[str, pydantic.Field(max_length=12)]], pydantic.Field(max_length=3)]


def test_the_packages_own_way_from_a_class_to_an_object():
    fields = {"model": "nano", "messages": [image_message(PROMPT)], "response_format": Picture, "max_tokens": 200}
    for temperature in (0, 1):
        choice = client.chat.completions.parse(temperature=temperature, seed=1, **fields).choices[0]
        assert isinstance(choice.message.parsed, Picture), choice
    with client.chat.completions.stream(**fields) as stream:
        kinds = {event.type for event in stream}
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, Picture)
    assert {"chunk", "content.delta", "content.done"} <= kinds, kinds


def test_any_object_and_plain_text():
    cut = ask(messages=[image_message(PROMPT)], response_format={"type": "json_object"}, max_tokens=40)
    assert cut.choices[0].message.content.startswith("{"), cut
    plain = ask(messages=[image_message(PROMPT)], response_format={"type": "text"}, n=1)
    assert plain.choices[0].message.content == described(PROMPT)


def test_completions():
    answer = client.completions.create(model="nano", prompt="This is", max_tokens=3, logprobs=1)
    assert answer.object == "text_completion"
    assert len(answer.choices[0].logprobs.tokens) == answer.usage.completion_tokens
    text = "".join(chunk.choices[0].text for chunk in client.completions.create(
        model="nano", prompt="This is", max_tokens=3, stream=True) if chunk.choices)
    assert text == answer.choices[0].text
    fields = {"model": "nano", "prompt": "This is a text about the", "max_tokens": 12}
    whole = client.completions.create(**fields).choices[0].text
    stop = whole[len(whole) // 2:][:2]
    cut = client.completions.create(stop=[stop], **fields).choices[0].text
    assert cut == whole[:whole.index(stop)], (whole, stop, cut)
    assert "".join(chunk.choices[0].text for chunk in client.completions.create(
        stop=[stop], stream=True, **fields)) == cut


def test_errors():
    message = {"role": "user", "content": "Hi"}
    assert expect(openai.BadRequestError, messages=[]).param == "messages"
    assert expect(openai.BadRequestError, messages=[message], temperature=9).param == "temperature"
    assert expect(openai.BadRequestError, messages=[message], n=2).param == "n"
    unknown = expect(openai.BadRequestError, messages=[message], extra_body={"frobnicate": 1})
    assert "frobnicate" in unknown.message
    remote = {"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/x.png"}}]}
    assert "--allow-remote-images" in expect(openai.BadRequestError, messages=[remote]).message
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    forced = expect(openai.BadRequestError, messages=[message], tools=[tool], tool_choice="required")
    assert forced.param == "tool_choice"
    assert expect(openai.BadRequestError, messages=[{"role": "user", "content": "x " * 20000}])


def test_wrong_key():
    with Server("--api-key", "right") as locked:
        for key, error in (("right", None), ("wrong", openai.AuthenticationError)):
            other = openai.OpenAI(base_url=locked.url + "/v1", api_key=key, max_retries=0)
            try:
                other.models.list()
                assert error is None
            except openai.AuthenticationError:
                assert error is not None


def test_remote_images_of_this_machine_are_not_fetched():
    with Server("--allow-remote-images") as remote:
        other = openai.OpenAI(base_url=remote.url + "/v1", api_key="none", max_retries=0)
        for url in (remote.url + "/samples/demo.png", "http://localhost:1/a.png",
                    "http://[::1]:1/a.png", "http://169.254.169.254/latest", "http://0.0.0.0/a",
                    "http://2130706433/a", "http://[::ffff:127.0.0.1]/a"):
            try:
                other.chat.completions.create(model="nano", messages=[{"role": "user", "content": [
                    {"type": "image_url", "image_url": {"url": url}}]}])
                raise AssertionError(f"{url} was fetched")
            except openai.BadRequestError as error:
                assert "not public" in error.message, (url, error.message)


def test_a_full_queue():
    async def flood():
        async with openai.AsyncOpenAI(base_url=busy.url + "/v1", api_key="none",
                                      max_retries=0) as many:
            with busy.stopped():  # so that it finds all of them at once
                asks = [asyncio.create_task(many.chat.completions.create(
                    model="nano", messages=[image_message(f"Number {i}?")],
                    extra_body={"resolution": 768})) for i in range(5)]
                await asyncio.sleep(1)
            return await asyncio.gather(*asks, return_exceptions=True)
    with Server("--max-active", "1", "--max-queue", "1", "--image-cache-mb", "0") as busy:
        results = asyncio.run(flood())
    refused = [result for result in results if isinstance(result, openai.RateLimitError)]
    served = [result for result in results if not isinstance(result, Exception)]
    assert refused and served and len(refused) + len(served) == 5, results
    assert int(refused[0].response.headers["Retry-After"]) > 0


def test_concurrent_answers_are_not_mixed_up():
    prompts = ["What is this?", PROMPT, "What color is it?", "How many objects are there?"]
    expected = {prompt: described(prompt) for prompt in prompts}

    async def all_at_once():
        async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="none") as many:
            return await asyncio.gather(*(many.chat.completions.create(
                model="nano", messages=[image_message(prompts[i % 4])]) for i in range(16)))
    for i, answer in enumerate(asyncio.run(all_at_once())):
        assert answer.choices[0].message.content == expected[prompts[i % 4]]


if __name__ == "__main__":
    with server:
        run_tests(globals())
