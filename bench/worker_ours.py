"""Worker: this project, through the network or, for inference, through an exported ONNX graph."""

import sys

if not __package__:  # started by path: import from this clone
    sys.path[0] = sys.path[0].rpartition("/")[0]

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.protocol import Answer, Clock, StoredRows, serve
from encoders.batching import Batch, EpochBatches, Features, pad
from encoders.cpu import dropout_masks, onednn
from encoders.framework import paddle, select_device
from encoders.heads import SentenceClassifier, sentence_loss
from encoders.padding import Padding
from inference.bfloat16_engine import Bfloat16Engine
from inference.graph_engine import open_engine
from inference.network_engine import NetworkEngine, tensors
from training.batches import part_cost
from training.config import TrainingConfig
from training.step import TrainingStep


def _float32_operands(m: int, k: int, n: int) -> tuple[Any, ...]:
    return paddle.matmul, paddle.rand([m, k]), paddle.rand([k, n])


def _bfloat16_operands(m: int, k: int, n: int) -> tuple[Any, ...]:
    a, b, c = (onednn.empty(*shape) for shape in ((m, k), (k, n), (m, n)))
    a[:], b[:] = 0x3F80, 0x3F80  # 1.0
    return onednn.product, onednn.matrix(a), onednn.pack(onednn.matrix(b)), onednn.matrix(c)


def _rate(m: int, k: int, n: int, product: Callable[..., Any], *operands: Any) -> float:
    """GFLOP/s of (m, k) @ (k, n), the best of four."""
    seconds = []
    for _ in range(4):
        begun = time.perf_counter()
        product(*operands)
        seconds.append(time.perf_counter() - begun)
    return 2e-9 * m * k * n / min(seconds)


class OurActions:
    """Holds the network, its optimiser and the rows between requests."""

    model: SentenceClassifier
    features: Features

    def load(self, model: str, device: str = "cpu", exported: str = "", precision: str = "float32") -> Answer:
        """Read a model folder; exported: one to answer with instead. precision: of products."""
        select_device(device)
        if exported:
            import onnxruntime

            self.engine: Any = open_engine(exported, device)
            return {"versions": f"onnxruntime {onnxruntime.__version__}"}
        from checkpoints.network import load_classifier

        self.model = load_classifier(model)
        # Near ties are not computed again: with random weights every row is one.
        self.engine = Bfloat16Engine(self.model) if precision == "bfloat16" else NetworkEngine(self.model)
        settings = TrainingConfig(
            learning_rate=1e-5, max_grad_norm=1.0, bias_correction=True,
            use_amp=precision != "float32", amp_dtype=precision if precision != "float32" else "auto",
        )  # fmt: skip
        scales = {name: 1.0 for name, _ in self.model.named_parameters()}
        self.take_step = TrainingStep(self.model, self._loss, settings, scales)
        paddle.seed(0)
        dropout_masks.seed(0)
        return {"versions": f"PaddlePaddle {paddle.__version__}"}

    def rows(self, file: str) -> Answer:
        stored = StoredRows(file)
        self.features = Features(stored.ids, stored.starts, stored.first_lengths, stored.targets)
        return {}

    def train(self, batches: list[list[int]], width: int = 0) -> Answer:
        """Take a training step for every batch, cut in parts as in training. width: not taken."""
        clock = Clock()
        order = [np.array(rows) for rows in batches]
        epoch = EpochBatches(
            self.features, order, self.model.config.pad_token_id, part_cost(self.model.config, "cpu")
        )
        for number in range(len(order)):
            with clock.batch():
                self.take_step(epoch[number : number + 1], self.take_step.config.learning_rate)
        self.model.eval()
        return clock.answer()

    def _loss(self, batch: Batch) -> paddle.Tensor:
        return sentence_loss(self.model(*tensors(batch)), paddle.to_tensor(np.asarray(batch.targets)))

    def infer(self, batches: list[list[int]], width: int = 0) -> Answer:
        """Logits of every batch, padded to its longest row. width: not taken."""
        clock, logits = Clock(), np.zeros(0)
        for rows in batches:
            with clock.batch():
                batch = pad(self.features, np.array(rows), self.engine.config.pad_token_id)
                logits = self.engine(batch)["logits"]
        return {**clock.answer(), "logits": logits[:4].tolist()}

    def gemm(self) -> Answer:
        """GFLOP/s of the machine's matrix product in each precision: of some shapes the best."""
        shapes = ((4096, 768, 3072), (4096, 3072, 768), (2048, 2048, 2048))
        best = {"float32": max(_rate(m, k, n, *_float32_operands(m, k, n)) for m, k, n in shapes)}
        if not onednn.status().fault:
            best["bfloat16"] = max(_rate(m, k, n, *_bfloat16_operands(m, k, n)) for m, k, n in shapes)
        return {"gflops": best}

    def span(self, lengths: list[int], tokens: int, rounds: int) -> Answer:
        """Seconds of a training step, and of the span-based convolutions in it alone, by length."""
        return {"steps": [self._span_share(length, max(1, tokens // length), rounds) for length in lengths]}

    def _span_share(self, length: int, batch: int, rounds: int) -> dict[str, list[float]]:
        config = self.model.config
        layers = [layer.attention.span_conv for layer in self.model.encoder.layers]
        draw = np.random.default_rng(0)
        ids = paddle.to_tensor(draw.integers(5, config.vocab_size, (batch, length)))
        x = paddle.randn([batch, length, config.hidden_size])
        query = paddle.randn([batch, length, config.attention_width])
        targets = paddle.zeros([batch], dtype="int64")
        nothing = query[:, :, :0].clone()  # what the convolution's result is put beside
        x.stop_gradient = query.stop_gradient = nothing.stop_gradient = False
        step, alone = Clock(), Clock()
        self.model.train()
        for _ in range(rounds + 1):
            with step.batch():
                sentence_loss(self.model(ids, paddle.zeros_like(ids)), targets).backward()
                self.take_step.optimizer.step()
                self.take_step.optimizer.clear_grad()
            with alone.batch():
                for layer in layers:
                    layer(nothing, x, query, Padding(None)).backward(query)
            self.take_step.optimizer.clear_grad()
            x.clear_gradient()
            query.clear_gradient()
        return {"step": step.wall[1:], "span": alone.wall[1:]}

    def span_memory(self, length: int, width: int, heads: int, kernel_size: int) -> Answer:
        """Peak memory in MB after a span convolution of one long row, forward and backward."""
        from encoders.layers import Linear
        from encoders.ops import append_span_convolution

        draw = np.random.default_rng(0)
        kernels = paddle.to_tensor(draw.random((1, length, heads, kernel_size), dtype=np.float32))
        values = paddle.to_tensor(draw.random((1, length, width), dtype=np.float32))
        kernels.stop_gradient = values.stop_gradient = False
        append_span_convolution(values, kernels, values, Linear(width, width), Padding(None)).sum().backward()
        return {}


if __name__ == "__main__":
    worker = OurActions()
    names = ("load", "rows", "train", "infer", "gemm", "span", "span_memory")
    serve({name: getattr(worker, name) for name in names})
