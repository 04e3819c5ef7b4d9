#!/usr/bin/env python3
"""LangChain's chat models against fastvlm serve: the same question through each API has the same answer.
Run by tests/server/run.sh."""
from typing import Literal

import pydantic
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI

from harness import Server, described, run_tests, sample_base64

PROMPT = "Describe the image."
server = Server()
MODELS = {
    "chat completions": ChatOpenAI(base_url=server.url + "/v1", api_key="none", model="nano", max_retries=0),
    "responses": ChatOpenAI(base_url=server.url + "/v1", api_key="none", model="nano", max_retries=0,
                            use_responses_api=True),
    "ollama": ChatOllama(base_url=server.url, model="nano"),
    "messages": ChatAnthropic(base_url=server.url, api_key="none", model="nano", max_tokens=200, max_retries=0),
}
QUESTION = HumanMessage(content=[
    {"type": "image", "base64": sample_base64(), "mime_type": "image/png"},
    {"type": "text", "text": PROMPT}])


def text_of(message) -> str:
    return message.text if isinstance(message.text, str) else message.text()


def test_whole():
    for name, model in MODELS.items():
        answer = model.invoke([QUESTION])
        assert text_of(answer) == described(PROMPT), (name, answer)
        usage = answer.usage_metadata
        assert usage["input_tokens"] > usage["output_tokens"] > 0, (name, usage)


def test_streamed():
    for name, model in MODELS.items():
        parts = [text_of(part) for part in model.stream([QUESTION])]
        assert "".join(parts) == described(PROMPT) and len(parts) > 2, (name, parts)


def test_system_message():
    answers = {name: text_of(model.invoke([SystemMessage("You are a helpful assistant."), QUESTION]))
               for name, model in MODELS.items()}
    assert len(set(answers.values())) == 1 and all(answers.values()), answers


class Picture(pydantic.BaseModel):
    kind: Literal["photo", "drawing"]
    people: bool


def test_structured_output():
    for name in ("chat completions", "responses", "ollama", "messages"):
        model = MODELS[name].with_structured_output(Picture, method="json_schema")
        assert isinstance(model.invoke([QUESTION]), Picture), name


if __name__ == "__main__":
    with server:
        run_tests(globals())
