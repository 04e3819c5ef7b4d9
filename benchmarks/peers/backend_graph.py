"""Runtimes of exported graphs: ONNX Runtime, OpenVINO, MNN. prepare.py makes their files."""
import time

import noise


def milliseconds(start: float) -> float:
    return 1000 * (time.perf_counter() - start)


class OnnxRuntimeEncoder:
    def __init__(self, files: str, threads: str, precision="f32"):
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(threads)
        options.inter_op_num_threads = 1
        self.open = lambda side: onnxruntime.InferenceSession(
            f"{files}/encoder_{side}_{precision}.onnx", options, ["CPUExecutionProvider"])
        self.sessions = {}

    def encode(self, side: int):
        session = self.sessions.setdefault(side, None) or self.open(side)
        self.sessions[side] = session
        feed = {"pixels": noise.pixels(side)}
        start = time.perf_counter()
        tokens = session.run(None, feed)[0]
        return milliseconds(start), tokens[0]


class OpenVinoEncoder:
    def __init__(self, files: str, threads: str, precision="f32"):
        import openvino
        core = openvino.Core()
        hint = "bf16" if precision == "bf16" else "f32"
        name = "int8" if precision == "int8" else "f32"
        self.open = lambda side: core.compile_model(
            f"{files}/encoder_{side}_{name}.xml", "CPU",
            {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": hint,
             "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1"})
        self.requests = {}

    def encode(self, side: int):
        if side not in self.requests:
            self.requests[side] = self.open(side).create_infer_request()
        pixels = noise.pixels(side)
        start = time.perf_counter()
        tokens = self.requests[side].infer([pixels])
        return milliseconds(start), tokens[0][0]


class MnnEncoder:
    def __init__(self, files: str, threads: str, precision="f32"):
        import MNN
        self.mnn = MNN
        # "low" memory with 8-bit weights makes the runtime quantize activations as it goes.
        config = {"backend": "CPU", "numThread": int(threads),
                  "precision": "high" if precision == "f32" else "low",
                  "memory": "low" if precision == "int8" else "normal"}
        self.manager = MNN.nn.create_runtime_manager((config,))
        self.open = lambda side: MNN.nn.load_module_from_file(
            f"{files}/encoder_{side}_{precision}.mnn", ["pixels"], ["tokens"],
            runtime_manager=self.manager)
        self.modules = {}

    def encode(self, side: int):
        if side not in self.modules:
            self.modules[side] = self.open(side)
        pixels = self.mnn.expr.const(noise.pixels(side), [1, 3, side, side], self.mnn.expr.NCHW)
        pixels = self.mnn.expr.convert(pixels, self.mnn.expr.NC4HW4)
        start = time.perf_counter()
        tokens = self.modules[side].forward([pixels])[0]
        tokens = self.mnn.expr.convert(tokens, self.mnn.expr.NCHW).read()  # waits for the result
        return milliseconds(start), tokens.copy().reshape(-1, tokens.shape[-1])
