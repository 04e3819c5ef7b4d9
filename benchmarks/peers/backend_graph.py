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
        if side not in self.sessions:
            self.sessions[side] = self.open(side)
        session = self.sessions[side]
        feed = {"pixels": noise.pixels(side)}
        start = time.perf_counter()
        tokens = session.run(None, feed)[0]
        return milliseconds(start), tokens[0]


class OpenVinoEncoder:
    def __init__(self, files: str, threads: str, precision="f32", snippets="yes"):
        import openvino
        self.core = openvino.Core()
        self.file = f"{files}/encoder_%d_{'int8' if precision == 'int8' else 'f32'}.xml"
        self.hint = "bf16" if precision == "bf16" else "f32"
        self.options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": self.hint,
                        "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1"}
        if snippets == "no":
            self.options["SNIPPETS_MODE"] = "DISABLE"
        self.requests = {}

    def open(self, side: int):
        model = self.core.compile_model(self.file % side, "CPU", self.options)
        used = str(model.get_property("INFERENCE_PRECISION_HINT"))
        if self.hint == "bf16" and "bfloat16" not in used:
            raise SystemExit(f"OpenVINO uses {used} on this processor when asked for bf16")
        return model.create_infer_request()

    def encode(self, side: int):
        if side not in self.requests:
            self.requests[side] = self.open(side)
        pixels = noise.pixels(side)
        start = time.perf_counter()
        tokens = self.requests[side].infer([pixels])
        return milliseconds(start), tokens[0][0]


class MnnEncoder:
    def __init__(self, files: str, threads: str, precision="f32"):
        import MNN
        self.mnn = MNN
        # With 8-bit weights, "low" memory makes the runtime quantize the activations while it runs.
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
