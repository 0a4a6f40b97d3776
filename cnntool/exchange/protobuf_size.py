"""How many pieces a protobuf message has, counted before a library makes objects of them.

A megabyte can hold half a million empty messages, each of which costs a hundred times its bytes
once it is an object. Counting needs no memory: pieces are skipped by their lengths, and only those
that hold others in an ONNX file are looked into.

References:
    Protocol Buffers: Encoding, https://protobuf.dev/programming-guides/encoding
    ONNX, onnx.proto: the numbers of the fields.
"""

from __future__ import annotations

from collections.abc import Mapping

MAX_PIECES = 2_000_000
"""Most pieces of an ONNX file: an operator takes about ten, an array about six."""

MAX_DEPTH = 12
"""Deepest nesting that is looked into; subgraphs of If and Loop lie deeper, and are refused."""

# kind of message -> number of a field -> kind of the messages in it
_MODEL, _GRAPH, _NODE, _ATTRIBUTE, _TENSOR, _VALUE, _TYPE, _SHAPE, _LEAF = range(9)
_INSIDE: Mapping[int, Mapping[int, int]] = {
    _MODEL: {7: _GRAPH, 8: _LEAF, 14: _LEAF, 20: _LEAF, 25: _LEAF},
    _GRAPH: {1: _NODE, 5: _TENSOR, 11: _VALUE, 12: _VALUE, 13: _VALUE, 14: _LEAF, 15: _LEAF},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH},
    _TENSOR: {13: _LEAF},
    _VALUE: {2: _TYPE},
    _TYPE: {1: _SHAPE},
    _SHAPE: {2: _LEAF},
    _LEAF: {},
}


class Malformed(ValueError):
    """Bytes that are no protobuf message, or too many pieces."""


def check_pieces(data: bytes | bytearray) -> None:
    """Refuse a message that is not well formed, or has too many pieces.

    Args:
        data: The bytes of an ONNX model.

    Raises:
        Malformed: It is so; the message says what is wrong.

    Example:
        >>> check_pieces(bytes([8, 8, 58, 0]))
        >>> check_pieces(bytes([58, 9, 0]))
        Traceback (most recent call last):
        ...
        cnntool.exchange.protobuf_size.Malformed: truncated: a piece of 9 bytes has 1
    """
    view = memoryview(data)
    waiting = [(0, len(view), _MODEL, 0)]
    pieces = 0
    while waiting:
        at, end, kind, depth = waiting.pop()
        inside = _INSIDE[kind]
        while at < end:
            pieces += 1
            if pieces > MAX_PIECES:
                raise Malformed(f"more than {MAX_PIECES} pieces")
            key, at = _varint(view, at, end)
            number, wire = key >> 3, key & 7
            if wire == 0:
                _, at = _varint(view, at, end)
            elif wire in (1, 5):
                at += 8 if wire == 1 else 4
                if at > end:
                    raise Malformed("truncated: a number breaks off")
            elif wire == 2:
                length, at = _varint(view, at, end)
                if length > end - at:
                    raise Malformed(f"truncated: a piece of {length} bytes has {end - at}")
                if number in inside:
                    if depth == MAX_DEPTH:
                        raise Malformed(f"nested more than {MAX_DEPTH} deep")
                    waiting.append((at, at + length, inside[number], depth + 1))
                at += length
            else:
                raise Malformed(f"a piece of unknown kind {wire}")


def _varint(view: memoryview, at: int, end: int) -> tuple[int, int]:
    """A whole number and the byte behind it."""
    value = shift = 0
    while at < end and shift < 70:
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise Malformed("truncated: a number breaks off" if at >= end else "a number of over 64 bits")
