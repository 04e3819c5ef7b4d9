"""llama.cpp, through its C API as llama-cpp-python has it."""
import time

import llama_cpp
import numpy as np

import noise

CONTEXT = 1024


class LlamaCpp:
    def __init__(self, gguf: str, threads: str):
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(
            gguf.encode(), llama_cpp.llama_model_default_params())
        if not self.model:
            raise SystemExit(f"llama.cpp cannot load {gguf}")
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = params.n_batch = CONTEXT
        params.n_threads = params.n_threads_batch = int(threads)
        params.no_perf = True
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(
            llama_cpp.llama_model_get_vocab(self.model))
        self.length = 0

    def forget_from(self, position: int) -> None:
        llama_cpp.llama_memory_seq_rm(self.memory, 0, position, -1)
        self.length = position

    def forward(self, ids) -> None:
        """The ids at the end of the cache; logits of the last one only."""
        array = (llama_cpp.llama_token * len(ids))(*ids)
        if llama_cpp.llama_decode(self.context,
                                  llama_cpp.llama_batch_get_one(array, len(ids))) != 0:
            raise SystemExit("llama_decode failed")
        self.length += len(ids)

    def logits(self) -> np.ndarray:
        pointer = llama_cpp.llama_get_logits_ith(self.context, -1)
        return np.ctypeslib.as_array(pointer, (self.vocabulary,))

    def prefill(self, tokens: int):
        ids = noise.prompt(tokens).tolist()
        self.forget_from(0)
        start = time.perf_counter()
        self.forward(ids)
        logits = self.logits()
        ms = 1000 * (time.perf_counter() - start)
        return ms, logits[None].copy()

    def decode(self, tokens: int, depth: int):
        if self.length < depth:
            self.prefill(depth)
        self.forget_from(depth)
        ids, token = [], noise.next_id(depth)
        start = time.perf_counter()
        for _ in range(tokens):
            self.forward([token])
            token = int(self.logits().argmax())
            ids.append(token)
        return 1000 * (time.perf_counter() - start), np.array([ids])
