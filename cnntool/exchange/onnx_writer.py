"""A graph of ONNX while it grows: operators in the order in which they run, constants by name.

Values are (N, C, H, W) or (N, n): the batch comes first there, and its size is open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnntool.nn.layer_rows import LayerRow


class GraphWriter:
    """Collects operators and constants.

    Args:
        tensors: Weights of the network by name.

    Attributes:
        nodes: Operators, as keywords of :func:`onnx.helper.make_node`.
        constants: Arrays by name.
    """

    def __init__(self, tensors: Mapping[str, NDArray[np.float32]]) -> None:
        self._tensors = tensors
        self.nodes: list[dict[str, Any]] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self._names: set[str] = set()

    def weight(self, row: LayerRow, name: str) -> str:
        """One of a layer's arrays, as it is."""
        full = f"{row.name}.{name}"
        self.constants[full] = self._tensors[full]
        return full

    def constant(self, name: str, values: Any, dtype: Any = np.float32) -> str:
        """An array that no layer owns."""
        name = self._unused(name)
        self.constants[name] = np.asarray(values, dtype)
        return name

    def sizes(self, name: str, values: Any) -> str:
        """Whole numbers, such as a shape or axes."""
        return self.constant(name, values, np.int64)

    def node(self, operator: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """An operator with one output, which is called like it.

        Args:
            operator: Its ONNX name.
            inputs: Names of values; an empty one leaves an input out.
            name: How it is called, if nothing else is.
            **attributes: Of the operator.
        """
        return self.nodes_outputs(operator, inputs, name, 1, **attributes)[0]

    def nodes_outputs(
        self, operator: str, inputs: list[str], name: str, count: int, **attributes: Any
    ) -> list[str]:
        """An operator with several outputs."""
        name = self._unused(name)
        outputs = [name, *(self._unused(f"{name}.{number}") for number in range(1, count))]
        self.nodes.append(
            {"op_type": operator, "inputs": inputs, "outputs": outputs, "name": name, **attributes}
        )
        return outputs

    def reshape(self, x: str, name: str, shape: list[int]) -> str:
        """The same numbers in another shape; 0 keeps a size, which the batch needs."""
        return self.node("Reshape", [x, self.sizes(f"{name}.shape", shape)], name)

    def _unused(self, name: str) -> str:
        found, number = name, 1
        while found in self._names:
            number += 1
            found = f"{name}-{number}"
        self._names.add(found)
        return found
