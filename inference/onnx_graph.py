"""Writing an ONNX graph node by node. No Paddle; the ``onnx`` package is imported where it is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.errors import InputError

if TYPE_CHECKING:
    import onnx

Shapes = Mapping[str, tuple[str, list[str | int]]]  # name → ``int64`` or ``float32``, and axes
Value = str | float | Sequence[int]  # a value's name, or a small constant

OPSET = 17  # the first with LayerNormalization
IR_VERSION = 8  # what belongs to that opset; readers refuse a newer one than they know
MAX_BYTES = 2_000_000_000  # protobuf's limit, for a file that holds its weights


class GraphWriter:
    """Collects nodes and constants. A value is known by its name, which is made up if none is given."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, np.ndarray] = {}

    def __call__(self, operator: str, *inputs: Value, name: str = "", **attributes: Any) -> str:
        """Add a node of one output and return the output's name."""
        return self.several(operator, 1, *inputs, name=name, **attributes)[0]

    def several(
        self, operator: str, outputs: int, *inputs: Value, name: str = "", **attributes: Any
    ) -> list[str]:
        """Add a node and return the names of its outputs."""
        from onnx import helper

        sources = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        made_up = f"{operator}_{len(self._nodes)}"
        names = [name] if name else [f"{made_up}.{number}" for number in range(outputs)]
        self._nodes.append(helper.make_node(operator, sources, names, name=made_up, **attributes))
        return names

    def constant(self, values: Any, name: str = "") -> str:
        """Add an array and return its name: a named weight, or without a name a small one, kept once.

        Whole numbers become int64, others float32.
        """
        array = np.asarray(values)
        array = array.astype(np.int64 if array.dtype.kind == "i" else np.float32, copy=False)
        name = name or f"constant_{array.dtype}_{array.shape}_{array.ravel().tolist()}"
        self._constants[name] = np.ascontiguousarray(array).reshape(array.shape)
        return name

    def write(self, path: Path, inputs: Shapes, outputs: Shapes) -> None:
        """Check the graph and write it."""
        import onnx
        from onnx import helper, numpy_helper

        size = sum(array.nbytes for array in self._constants.values())
        if size > MAX_BYTES:
            reason = f"{size / 1e9:.1f} GB of weights do not fit into one ONNX file; take --format paddle"
            raise InputError(reason, path=path)
        kinds = {"int64": onnx.TensorProto.INT64, "float32": onnx.TensorProto.FLOAT}
        sources, results = (
            [helper.make_tensor_value_info(name, kinds[kind], axes) for name, (kind, axes) in values.items()]
            for values in (inputs, outputs)
        )
        weights = [numpy_helper.from_array(array, name) for name, array in self._constants.items()]
        graph = helper.make_graph(self._nodes, "network", sources, results, weights)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
            producer_name="convbert-glue",
        )  # fmt: skip
        onnx.checker.check_model(model)
        path.write_bytes(model.SerializeToString())
