#!/usr/bin/env python3
"""The official ollama package against fastvlm serve. Run by tests/server/run.sh."""
import datetime
import json
import re

import ollama

from harness import SAMPLES, Server, described, run_tests

PROMPT = "Describe the image."
server = Server()
client = ollama.Client(host=server.url)


def message(**fields):
    return {"role": "user", "content": PROMPT, "images": [str(SAMPLES / "demo.png")], **fields}


def test_list_and_show():
    assert [model.model for model in client.list().models] == ["nano"]
    assert "vision" in client.show("nano").capabilities
    (listed,), (loaded,) = client.list().models, client.ps().models
    assert re.fullmatch("[0-9a-f]{64}", listed.digest) and listed.digest == loaded.digest
    assert listed.size == loaded.size and listed.modified_at.year >= 2025
    assert loaded.expires_at > datetime.datetime.now(datetime.timezone.utc)
    assert loaded.size_vram == 0 and loaded.context_length > 1000
    assert loaded.model == "nano" and loaded.size > 0 and loaded.details.family == "fastvlm"


def test_chat():
    answer = client.chat(model="nano", messages=[message()])
    assert answer.message.content == described(PROMPT)
    assert answer.done and answer.done_reason == "stop"
    assert answer.prompt_eval_count > answer.eval_count > 0


def test_chat_streams():
    parts = list(client.chat(model="nano", messages=[message()], stream=True))
    assert "".join(part.message.content for part in parts) == described(PROMPT)
    assert parts[-1].done and not parts[0].done


def test_options():
    short = client.chat(model="nano", messages=[message()], options={"num_predict": 2})
    assert short.done_reason == "length" and short.eval_count == 2


def test_a_stop_text_cuts_whole_and_streamed_answers_alike():
    stop = described(PROMPT).split()[2]
    for ask in (lambda **fields: client.chat(model="nano", messages=[message()], **fields),
                lambda **fields: client.generate(model="nano", prompt=PROMPT, images=message()["images"], **fields)):
        options = {"stop": [stop]}
        text = lambda part: part.message.content if hasattr(part, "message") else part.response
        cut = text(ask(options=options))
        assert cut == described(PROMPT).split(stop)[0].rstrip(), cut
        assert "".join(text(part) for part in ask(options=options, stream=True)) == cut


def test_format():
    schema = {"type": "object", "properties": {"count": {"type": "integer", "minimum": 0, "maximum": 20},
                                               "kind": {"enum": ["photo", "drawing"]}},
              "required": ["count", "kind"], "additionalProperties": False}
    for temperature in (0, 1):
        answer = client.chat(model="nano", messages=[message()], format=schema,
                             options={"temperature": temperature, "seed": 1})
        value = json.loads(answer.message.content)
        assert 0 <= value["count"] <= 20 and value["kind"] in ("photo", "drawing"), value
    assert client.generate(model="nano", prompt=PROMPT, format="json",
                           options={"num_predict": 20}).response.startswith("{")


def test_generate():
    image = (SAMPLES / "demo.png").read_bytes()
    assert client.generate(model="nano", prompt=PROMPT, images=[image]).response == described(PROMPT)
    parts = client.generate(model="nano", prompt=PROMPT, images=[image], stream=True)
    assert "".join(part.response for part in parts) == described(PROMPT)
    assert client.generate(model="nano", prompt="").done_reason == "load"


def test_errors():
    try:
        client.chat(model="nano", messages=[{"role": "bot", "content": "x"}])
        raise AssertionError("no error")
    except ollama.ResponseError as error:
        assert error.status_code == 400 and "role" in error.error
    except ValueError:
        pass  # a package that checks roles itself


if __name__ == "__main__":
    with server:
        run_tests(globals())
