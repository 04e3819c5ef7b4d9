#!/usr/bin/env python3
"""The official anthropic package against fastvlm serve. Run by tests/server/run.sh."""
import json

import anthropic

from harness import Server, described, post, run_tests, sample_base64

PROMPT = "Describe the image."
server = Server()
client = anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0)


def question(text=PROMPT, source=None):
    source = source or {"type": "base64", "media_type": "image/png", "data": sample_base64()}
    return [{"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": text}]}]


def fields(**more):
    return {"model": "nano", "max_tokens": 100, "messages": question(), **more}


def refused(error, **more):
    try:
        client.messages.create(**fields(**more))
    except error as caught:
        assert caught.body["type"] == "error", caught.body
        return caught.body["error"]
    raise AssertionError(f"no {error.__name__}")


def test_whole():
    answer = client.messages.create(**fields())
    assert [block.text for block in answer.content] == [described(PROMPT)]
    assert (answer.role, answer.stop_reason, answer.stop_sequence) == ("assistant", "end_turn", None)
    again = client.messages.create(**fields()).usage
    total = answer.usage.input_tokens + answer.usage.cache_read_input_tokens
    assert again.cache_read_input_tokens > 0
    assert again.input_tokens + again.cache_read_input_tokens == total
    assert client.messages.count_tokens(model="nano", messages=question()).input_tokens == total


def test_streamed():
    with client.messages.stream(**fields()) as stream:
        texts = list(stream.text_stream)
        final = stream.get_final_message()
    assert len(texts) > 1 and "".join(texts) == described(PROMPT) == final.content[0].text
    assert final.stop_reason == "end_turn" and final.usage.output_tokens > 0
    assert final.usage.input_tokens + final.usage.cache_read_input_tokens > 0
    types = [event.type for event in client.messages.create(**fields(stream=True))]
    assert types[0] == "message_start" and types[-1] == "message_stop", types


def test_stop_sequences():
    stop = described(PROMPT).split()[2]
    expected = described(PROMPT).split(stop)[0].rstrip()
    answer = client.messages.create(**fields(stop_sequences=["%%", stop]))
    assert (answer.stop_reason, answer.stop_sequence, answer.content[0].text) == ("stop_sequence", stop, expected)
    with client.messages.stream(**fields(stop_sequences=["%%", stop])) as stream:
        final = stream.get_final_message()
    assert (final.stop_reason, final.stop_sequence, final.content[0].text) == ("stop_sequence", stop, expected)
    short = client.messages.create(**fields(max_tokens=2))
    assert short.stop_reason == "max_tokens" and short.usage.output_tokens == 2


def test_system_and_several_turns():
    system = [{"type": "text", "text": "You are a helpful assistant.", "cache_control": {"type": "ephemeral"}}]
    turns = [*question("What is this?"), {"role": "assistant", "content": "A picture."},
             {"role": "user", "content": PROMPT}]
    answers = [client.messages.create(**fields(messages=turns, system=one, max_tokens=20)).content[0].text
               for one in (system, system[0]["text"])]
    assert answers[0] and answers[0] == answers[1], answers


def test_json_schema():
    schema = {"type": "object", "properties": {"kind": {"enum": ["photo", "drawing"]}, "count": {"type": "boolean"}},
              "required": ["kind", "count"], "additionalProperties": False}
    answer = client.messages.create(**fields(output_config={"format": {"type": "json_schema", "schema": schema}}))
    assert list(json.loads(answer.content[0].text)) == ["kind", "count"], answer


def test_models():
    (model,) = client.models.list().data
    assert (model.id, model.display_name) == ("nano", "nano") and model.created_at.year >= 2025


def test_errors():
    assert refused(anthropic.BadRequestError, extra_body={"temperature": 9})["type"] == "invalid_request_error"
    assert "assistant" in refused(anthropic.BadRequestError, messages=[
        *question(), {"role": "assistant", "content": "It is"}])["message"]
    url = {"type": "url", "url": "https://127.0.0.1:1/x.png"}
    assert "--allow-remote-images" in refused(anthropic.BadRequestError, messages=question(source=url))["message"]
    broken = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    assert refused(anthropic.BadRequestError, messages=question(source=broken))["message"]
    status, _, text = post(server.url, "/v1/messages", {"messages": question()})
    assert status == 400 and "max_tokens" in json.loads(text)["error"]["message"], text


def test_keys():
    with Server("--api-key", "right") as locked:
        for key in ("right", "wrong"):
            other = anthropic.Anthropic(base_url=locked.url, api_key=key, max_retries=0)
            try:
                other.messages.create(**fields(max_tokens=1))
                assert key == "right"
            except anthropic.AuthenticationError as error:
                assert key == "wrong" and error.body["error"]["type"] == "authentication_error"


if __name__ == "__main__":
    with server:
        run_tests(globals())
