#!/usr/bin/env python3
"""LlamaIndex against fastvlm serve. Run by tests/server/run.sh, with packages of its own."""
from llama_index.core.llms import ChatMessage, ImageBlock, MessageRole, TextBlock
from llama_index.llms.openai_like import OpenAILike

from harness import SAMPLES, Server, described, run_tests

PROMPT = "Describe the image."
server = Server()
model = OpenAILike(model="nano", api_base=server.url + "/v1", api_key="none", is_chat_model=True, max_retries=0,
                   context_window=8192)


def question():
    return [ChatMessage(role=MessageRole.USER, blocks=[
        ImageBlock(image=(SAMPLES / "demo.png").read_bytes(), image_mimetype="image/png"),
        TextBlock(text=PROMPT)])]


def test_whole():
    assert model.chat(question()).message.content == described(PROMPT)


def test_streamed():
    parts = list(model.stream_chat(question()))
    assert "".join(part.delta or "" for part in parts) == described(PROMPT)
    assert len(parts) > 2


if __name__ == "__main__":
    with server:
        run_tests(globals())
