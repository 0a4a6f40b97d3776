"""What an ONNX model computes: by onnxruntime if it is installed, else by onnx's own reference."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnntool.exchange.packages import has_onnxruntime, onnx
from cnntool.files import one_line

Compute = Callable[[NDArray[Any]], NDArray[Any]]


class NotComputed(Exception):
    """The other program does not compute the model; the text is its reason."""


class Runner:
    """An ONNX model with one input and one output, ready to compute.

    Args:
        data: The bytes of the model, with nothing outside of them.

    Attributes:
        name: What computes.

    Raises:
        NotComputed: Nothing that is installed can.
        MissingPackage: The package onnx is not installed.
    """

    def __init__(self, data: bytes) -> None:
        self.name, self._compute = _onnxruntime(data) if has_onnxruntime() else _reference(data)

    def __call__(self, x: NDArray[Any]) -> NDArray[Any]:
        """The output for inputs (N, …).

        Raises:
            NotComputed: It gives none.
        """
        try:
            with np.errstate(all="ignore"):  # what is not finite is told by the comparison
                return np.asarray(self._compute(np.ascontiguousarray(x)))
        except MemoryError:
            raise
        except Exception as error:
            raise NotComputed(f"{self.name}: {_reason(error)}") from error


def _onnxruntime(data: bytes) -> tuple[str, Compute]:
    package = importlib.import_module("onnxruntime")
    options = package.SessionOptions()
    options.log_severity_level = 4  # its errors are raised, and nothing else is of use here
    options.intra_op_num_threads = 1
    try:
        # without its fallback, of which it speaks on standard output
        session = package.InferenceSession(
            data, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:
        raise NotComputed(f"onnxruntime {package.__version__}: {_reason(error)}") from error
    name = session.get_inputs()[0].name

    def compute(x: NDArray[Any]) -> NDArray[Any]:
        found: NDArray[Any] = session.run(None, {name: x})[0]
        return found

    return f"onnxruntime {package.__version__}", compute


def _reference(data: bytes) -> tuple[str, Compute]:
    package = onnx()
    reference = importlib.import_module("onnx.reference")
    model = package.load_model_from_string(data)
    for node in model.graph.node:
        if mistaken(node):
            raise NotComputed(f"the reference of onnx {package.__version__} errs at {node.op_type}")
    try:
        evaluator = reference.ReferenceEvaluator(model)
    except Exception as error:
        raise NotComputed(f"onnx {package.__version__}: {_reason(error)}") from error
    name = model.graph.input[0].name

    def compute(x: NDArray[Any]) -> NDArray[Any]:
        found: NDArray[Any] = evaluator.run(None, {name: x})[0]
        return found

    return f"the reference of onnx {package.__version__}", compute


def mistaken(node: Any) -> bool:
    """Whether onnx's reference computes an operator wrongly, or not at all.

    So found with onnx 1.17 to 1.23: LRN leaves out the last neighbour, transposed convolutions mix
    up groups, GridSample knows only the words of opset 20.
    """
    grouped = any(part.name == "group" and part.i > 1 for part in node.attribute)
    return node.op_type in ("LRN", "GridSample") or (node.op_type == "ConvTranspose" and grouped)


def _reason(error: Exception) -> str:
    return one_line(str(error) or type(error).__name__, 120)
