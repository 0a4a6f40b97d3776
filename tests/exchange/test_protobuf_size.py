"""Pieces of a message are counted before a library makes objects of them."""

import time

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx_files import graph_file, node

from cnntool.exchange import protobuf_size
from cnntool.exchange.protobuf_size import Malformed, check_pieces

DATA = graph_file([node("Relu", "x", "y")])


def part(number, data):
    """A piece that holds ``data``."""
    found, length = [number << 3 | 2], len(data)
    while length > 127:
        found.append(length & 127 | 128)
        length >>= 7
    return bytes([*found, length]) + data


def test_files_of_onnx_pass():
    check_pieces(DATA)
    check_pieces(b"")


def test_bombs_are_refused_at_once():
    empty_nodes = part(7, part(1, b"") * 3_000_000)
    inputs = part(7, part(1, part(1, b"") * 3_000_000))
    for bomb in (empty_nodes, inputs):
        start = time.perf_counter()
        with pytest.raises(Malformed, match="more than 2000000 pieces"):
            check_pieces(bomb)
        assert time.perf_counter() - start < 20


def test_graphs_in_graphs():
    data = part(1, b"")
    for _ in range(20):
        data = part(1, part(5, part(6, data)))
    with pytest.raises(Malformed, match="nested more than 12 deep"):
        check_pieces(part(7, data))


@pytest.mark.parametrize(("data", "words"), [
    (b"\x08", "truncated: a number breaks off"), (b"\x3a\x05\x00", "a piece of 5 bytes has 1"),
    (b"\x0d\x00", "truncated: a number"), (b"\x0b", "a piece of unknown kind 3"),
    (b"\xff" * 11, "a number of over 64 bits"),
])  # fmt: skip
def test_malformed(data, words):
    with pytest.raises(Malformed, match=words):
        check_pieces(data)


@given(st.binary(max_size=60))
def test_what_onnx_reads_is_well_formed(data):
    """Whatever the counting refuses, protobuf refuses too, but for counts and depth."""
    try:
        onnx.load_model_from_string(data)
    except Exception:
        return
    try:
        check_pieces(data)
    except Malformed as error:
        assert "unknown kind" in str(error) or "nested" in str(error)


def test_pieces_are_few_in_real_files(monkeypatch):
    monkeypatch.setattr(protobuf_size, "MAX_PIECES", 60)
    check_pieces(DATA)
