#!/usr/bin/env python3
"""OpenAI's responses with the official openai package. Run by tests/server/run.sh."""
from typing import Annotated, Literal

import openai
import pydantic

from harness import Server, described, run_tests, sample_uri

PROMPT = "Describe the image."
server = Server()
client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)


def question(text=PROMPT):
    return [{"role": "user", "content": [{"type": "input_image", "image_url": sample_uri(), "detail": "auto"},
                                         {"type": "input_text", "text": text}]}]


def ask(**fields):
    return client.responses.create(model="nano", **{"input": question(), **fields})


def refused(**fields):
    try:
        ask(**fields)
    except openai.BadRequestError as error:
        return error
    raise AssertionError(f"no error: {fields}")


def test_whole():
    answer = ask(instructions="", metadata={"case": "7"})
    assert answer.output_text == described(PROMPT)
    assert answer.status == "completed" and answer.error is None and answer.metadata == {"case": "7"}
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert answer.usage.output_tokens_details.reasoning_tokens == 0
    again = ask().usage
    assert 0 < again.input_tokens_details.cached_tokens < again.input_tokens


def test_streamed():
    events = list(ask(stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert [event.type for event in events] == [
        "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
        *(["response.output_text.delta"] * len(deltas)), "response.output_text.done", "response.content_part.done",
        "response.output_item.done", "response.completed"]
    assert len(deltas) > 1 and "".join(event.delta for event in deltas) == described(PROMPT)
    assert events[-1].response.output_text == described(PROMPT)
    with client.responses.stream(model="nano", input=question()) as stream:
        for _ in stream:
            pass
        assert stream.get_final_response().output_text == described(PROMPT)


def test_a_stop_text_cuts_whole_and_streamed_answers_alike():
    stop = described(PROMPT).split()[2]
    fields = {"extra_body": {"stop": [stop]}}
    cut = ask(**fields).output_text
    assert cut == described(PROMPT).split(stop)[0].rstrip(), cut
    assert "".join(event.delta for event in ask(stream=True, **fields)
                   if event.type == "response.output_text.delta") == cut


def test_too_long():
    short = ask(max_output_tokens=2)
    assert short.status == "incomplete" and short.incomplete_details.reason == "max_output_tokens"
    assert short.usage.output_tokens == 2
    assert list(ask(max_output_tokens=2, stream=True))[-1].type == "response.incomplete"


class Picture(pydantic.BaseModel):
    kind: Literal["photo", "drawing"]
    count: Annotated[int, pydantic.Field(ge=0, le=20)]


def test_from_a_class_to_an_object():
    for temperature in (0, 1):
        parsed = client.responses.parse(model="nano", input=question(), text_format=Picture,
                                        temperature=temperature, max_output_tokens=100).output_parsed
        assert isinstance(parsed, Picture), parsed
    assert ask(text={"format": {"type": "json_object"}}, max_output_tokens=20).output_text.startswith("{")


def test_logprobs():
    answer = ask(include=["message.output_text.logprobs"], top_logprobs=2, max_output_tokens=3)
    tokens = answer.output[0].content[0].logprobs
    assert len(tokens) == 3 and all(len(token.top_logprobs) == 2 for token in tokens), tokens


def test_a_conversation_is_sent_again_by_its_items():
    first = ask(max_output_tokens=5)
    history = [*question(), *[item.model_dump() for item in first.output], {"role": "user", "content": "Why?"}]
    again = ask(input=history, max_output_tokens=5)
    # The same conversation as chat.
    picture = {"type": "image_url", "image_url": {"url": sample_uri()}}
    chat = client.chat.completions.create(model="nano", max_tokens=5, messages=[
        {"role": "user", "content": [picture, {"type": "text", "text": PROMPT}]},
        {"role": "assistant", "content": first.output_text}, {"role": "user", "content": "Why?"}])
    assert again.output_text == chat.choices[0].message.content
    assert again.usage.input_tokens == chat.usage.prompt_tokens


def test_errors():
    assert "send the whole conversation" in refused(previous_response_id="resp_1").message
    assert refused(background=True).param == "background"
    assert refused(conversation="conv_1").param == "conversation"
    assert refused(temperature=9).param == "temperature"
    tool = {"type": "function", "name": "f", "parameters": {}}
    assert refused(tools=[tool], tool_choice="required").param == "tool_choice"
    raw = client.responses.with_raw_response.create(model="nano", input=question(), tools=[tool],
                                                    max_output_tokens=1)
    assert "never called" in raw.headers["X-Fastvlm-Note"]


if __name__ == "__main__":
    with server:
        run_tests(globals())
