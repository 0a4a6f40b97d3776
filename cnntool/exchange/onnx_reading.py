"""An ONNX file as plain data: operators, arrays by name, one input and one output.

Nothing in it is believed or run. The file is counted before it is parsed, arrays must have the
bytes that their shapes need, arrays outside the file must lie in its own folder, and operators that
are no standard ones (other domains, functions of the file's own, subgraphs) are refused by name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import CnntoolError, InputError, ModelFileError
from cnntool.exchange.packages import onnx
from cnntool.exchange.protobuf_size import Malformed, check_pieces
from cnntool.files import one_line, quote
from cnntool.grammar import shown
from cnntool.nn.tensor_file import read_bytes

MAX_BYTES = (2 << 30) - 1
"""Largest file, and most bytes of arrays beside it: a protobuf message holds no more."""

MAX_NODES = 20_000
"""Most operators."""

MAX_ARRAYS = 20_000
"""Most arrays."""

_DOMAINS = ("", "ai.onnx")
_OPSETS = range(7, 27)
_TYPES = {"float32", "float16", "float64", "uint8"}


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One operator.

    Attributes:
        operator: Its ONNX name.
        name: How the file calls it, or its first output.
        inputs: Names of values; empty where one is left out.
        outputs: Names of values.
        attributes: Numbers, texts, lists and arrays by name.
    """

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def __str__(self) -> str:
        return f"node '{shown(self.name, 40)}' ({shown(self.operator, 30)})"


@dataclass(frozen=True, slots=True, eq=False)
class OnnxFile:
    """What a file says.

    Attributes:
        nodes: Operators, in the order in which they run.
        arrays: Constants by name, float16 and bfloat16 as they are.
        input: Name of the input.
        shape: Its sizes without the batch; None where one is left open.
        batch: The batch where it is fixed, else None.
        kind: Type of its numbers.
        output: Name of the output.
        metadata: Texts by name.
        opset: Version of the operators.
        whole: The model as bytes, with all its arrays inside, for programs that compute it.
    """

    nodes: tuple[Node, ...]
    arrays: dict[str, NDArray[Any]]
    input: str
    shape: tuple[int | None, ...]
    batch: int | None
    kind: np.dtype[Any]
    output: str
    metadata: dict[str, str]
    opset: int
    whole: bytes


def read_onnx(path: str) -> OnnxFile:
    """Read a file.

    Raises:
        MissingPackage: The package onnx is not installed.
        InputError: There is no such file, or it cannot be read.
        ModelFileError: It is no ONNX file, is damaged, too large, or asks for what is refused.
    """
    package, where = onnx(), quote(path)
    data = bytes(read_bytes(path, limit=MAX_BYTES))
    try:
        check_pieces(data)
        model = package.load_model_from_string(data)
    except Malformed as error:
        raise ModelFileError(f"{where}: no ONNX file, or damaged: {error}") from None
    except Exception as error:
        reason = one_line(str(error) or type(error).__name__, 80)
        raise ModelFileError(f"{where}: no ONNX file, or damaged: {reason}") from error
    reader = _Reader(package, model, data, where, os.path.dirname(path))
    try:
        return reader.read()
    except CnntoolError:
        raise
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, OverflowError) as error:
        reason = one_line(str(error) or type(error).__name__, 100)
        raise ModelFileError(f"{where}: damaged: {reason}") from error


class _Reader:
    """Takes one parsed model apart."""

    def __init__(self, package: Any, model: Any, data: bytes, where: str, folder: str) -> None:
        self.package, self.model, self.data = package, model, data
        self.where, self.folder, self.outside = where, folder, 0

    def read(self) -> OnnxFile:
        """See :func:`read_onnx`."""
        graph = self.model.graph
        opset = self.opset()
        self.check_extent(graph)
        arrays: dict[str, NDArray[Any]] = {}
        for tensor in graph.initializer:
            name = _text(tensor.name)
            if name in arrays:
                raise self.refused(f"array '{shown(name)}' is there twice")
            arrays[name] = self.array(tensor)
        nodes = tuple(self.node(node) for node in graph.node)
        values = [value for value in graph.input if _text(value.name) not in arrays]
        if len(values) != 1 or len(graph.output) != 1:
            raise self.refused(
                f"it has {len(values)} inputs and {len(graph.output)} outputs; networks here have "
                "one of each, so cut the others off"
            )
        kind, batch, shape = self.shape(values[0])
        return OnnxFile(
            nodes, arrays, _text(values[0].name), shape, batch, kind, _text(graph.output[0].name),
            {_text(e.key): _text(e.value) for e in self.model.metadata_props}, opset,
            self.model.SerializeToString() if self.outside else self.data,
        )  # fmt: skip

    def refused(self, reason: str) -> ModelFileError:
        """An error that names the file."""
        return ModelFileError(f"{self.where}: {reason}")

    def opset(self) -> int:
        """The version of the standard operators."""
        versions = [item.version for item in self.model.opset_import if item.domain in _DOMAINS]
        if len(versions) != 1 or not self.model.graph.node:
            raise self.refused("no ONNX network: it has no operators of the standard")
        if versions[0] not in _OPSETS:
            raise self.refused(
                f"its operators are of opset {versions[0]}; {_OPSETS.start} to {_OPSETS.stop - 1} "
                "are read"
            )
        return int(versions[0])

    def check_extent(self, graph: Any) -> None:
        """Refuse what is too much, or is not looked into."""
        if len(graph.node) > MAX_NODES or len(graph.initializer) > MAX_ARRAYS:
            raise self.refused(
                f"{len(graph.node)} operators and {len(graph.initializer)} arrays; at most "
                f"{MAX_NODES} and {MAX_ARRAYS} are read"
            )
        if self.model.functions:
            raise self.refused(
                f"it defines {len(self.model.functions)} functions of its own; put them in line "
                "first: onnx.inliner.inline_local_functions"
            )
        if graph.sparse_initializer:
            raise self.refused("its arrays are sparse; store them whole")

    def node(self, node: Any) -> Node:
        """One operator, a standard one."""
        name = _text(node.name or (node.output[0] if node.output else ""))
        operator, domain = _text(node.op_type), _text(node.domain)
        if domain not in _DOMAINS:
            raise self.refused(
                f"node '{shown(name, 40)}' is of the domain '{shown(domain, 40)}': a custom "
                f"operator ({shown(operator, 30)}), whose code is not in the file"
            )
        return Node(
            operator,
            name,
            tuple(map(_text, node.input)),
            tuple(map(_text, node.output)),
            dict(self.attribute(part, name) for part in node.attribute),
        )

    def attribute(self, part: Any, name: str) -> tuple[str, Any]:
        """A number, text, list or array."""
        kinds, own = self.package.AttributeProto, _text(part.name)
        if part.type in (kinds.FLOAT, kinds.INT):
            return own, part.f if part.type == kinds.FLOAT else part.i
        if part.type == kinds.STRING:
            return own, part.s.decode("utf-8", "replace")
        if part.type in (kinds.FLOATS, kinds.INTS):
            return own, list(part.floats if part.type == kinds.FLOATS else part.ints)
        if part.type == kinds.TENSOR:
            return own, self.array(part.t)
        raise self.refused(
            f"node '{shown(name, 40)}' has the attribute '{shown(own, 40)}': a graph or "
            "another thing that no layer has"
        )

    def array(self, tensor: Any) -> NDArray[Any]:
        """The numbers of an array, which lie in the file or beside it."""
        called = f"array '{shown(_text(tensor.name), 60)}'"
        if any(size < 0 for size in tensor.dims) or len(tensor.dims) > 8:
            raise self.refused(f"{called} has an impossible shape")
        if tensor.data_location == self.package.TensorProto.EXTERNAL:
            self.bring_in(tensor, called)
        try:
            array: NDArray[Any] = np.array(self.package.numpy_helper.to_array(tensor))
        except (ValueError, TypeError, KeyError, OverflowError, MemoryError) as error:
            reason = one_line(str(error) or type(error).__name__, 80)
            raise self.refused(f"{called} is damaged: {reason}") from error
        if array.shape != tuple(tensor.dims):
            raise self.refused(f"{called} does not have the numbers of its shape")
        return array

    def bring_in(self, tensor: Any, called: str) -> None:
        """Put the bytes of an array that lies in another file into the model."""
        told = {_text(entry.key): _text(entry.value) for entry in tensor.external_data}
        location = told.get("location", "")
        parts = Path(location).parts
        if not location or Path(location).is_absolute() or ".." in parts or "\0" in location:
            raise self.refused(
                f"{called} lies in {quote(location)}, outside of the file's own folder; that is "
                "never read"
            )
        path = os.path.join(self.folder, location)
        root = os.path.realpath(self.folder or ".")
        if os.path.commonpath([root, os.path.realpath(path)]) != root:
            raise self.refused(f"{called} lies in {quote(path)}, a link out of the file's folder")
        dtype = self.package.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        needed = prod(tensor.dims) * dtype.itemsize
        offset, length = (_whole(told.get(key, "")) for key in ("offset", "length"))
        if length is not None and length != needed:
            raise self.refused(f"{called} has {length} bytes; its shape needs {needed}")
        self.outside += needed
        if self.outside > MAX_BYTES:
            raise self.refused(f"its arrays have more than {MAX_BYTES} bytes")
        tensor.raw_data = _part(path, offset or 0, needed, f"{self.where}: {called}")
        del tensor.external_data[:]
        tensor.data_location = self.package.TensorProto.DEFAULT

    def shape(self, value: Any) -> tuple[np.dtype[Any], int | None, tuple[int | None, ...]]:
        """Type, batch and other sizes of the input."""
        kind = value.type.tensor_type
        dtype = np.dtype(self.package.helper.tensor_dtype_to_np_dtype(kind.elem_type))
        if dtype.name not in _TYPES:
            raise self.refused(
                f"its input is {dtype.name}; possible are {', '.join(sorted(_TYPES))}"
            )
        sizes: list[int | None] = [
            size.dim_value if size.dim_value > 0 else None for size in kind.shape.dim
        ]
        if len(sizes) not in (2, 4):
            raise self.refused(
                f"its input has {len(sizes)} axes; possible are N×C×H×W for pictures and N×n for "
                "vectors"
            )
        return dtype, sizes[0], tuple(sizes[1:])


def _text(value: str | bytes) -> str:
    """A text; damaged ones, which protobuf hands over as bytes, with signs for what is no text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _whole(text: str) -> int | None:
    """A number of bytes; None where nothing is said."""
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise ValueError(f"'{shown(text, 40)}' is no number of bytes")
    return int(text)


def _part(path: str, offset: int, length: int, what: str) -> bytes:
    """Some bytes of a file."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if offset + length > size:
                raise ModelFileError(
                    f"{what}: {quote(path)} has {size} bytes, {offset + length} are needed"
                )
            file.seek(offset)
            return file.read(length)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise InputError(f"{what} lies in {quote(path)}, which cannot be read: {reason}") from error


def needed(nodes: tuple[Node, ...], output: str) -> Iterator[Node]:
    """The operators that the output depends on, in their order."""
    wanted, kept = {output}, []
    for node in reversed(nodes):
        if wanted.intersection(node.outputs):
            kept.append(node)
            wanted.update(name for name in node.inputs if name)
    yield from reversed(kept)
