"""What a pickle of ``torch.save`` says, found by reading its instructions; nothing is unpickled.

A pickle is a program for a small machine with a stack. Python's own machine imports and calls
whatever the program names. The one here knows a closed list of instructions and a closed list of
names, and none of them is looked up or called: ``collections.OrderedDict`` is a plain dict,
``torch._utils._rebuild_tensor_v2`` notes where a tensor's numbers lie in the file, and any other
name or instruction is refused. What it makes is numbers, texts, tuples, lists, dicts and
:class:`~cnntool.nn.torch_refs.TensorRef`.

References:
    Python's documentation, pickletools: the instructions.
    PyTorch 2.13, torch/serialization.py and torch/_utils.py: what torch writes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cnntool.grammar import shown
from cnntool.nn.tensor_header import MAX_AXES, Refused
from cnntool.nn.torch_refs import STORAGES, StorageRef, TensorRef

MAX_STEPS = 4_000_000
"""Most instructions of a program: a tensor takes about forty."""

MAX_TEXT = 10_000
"""Longest text in bytes."""

_LONGEST_NAME = 200  # of a global
_NAMES = {
    ("collections", "OrderedDict"),
    ("torch", "Size"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
    *(("torch", name) for name in STORAGES),
}

# so that a refusal names what other programs use
_FOREIGN = {
    b"0": "POP", b"1": "POP_MARK", b"2": "DUP", b"F": "FLOAT", b"I": "INT", b"L": "LONG",
    b"P": "PERSID", b"S": "STRING", b"T": "BINSTRING", b"U": "SHORT_BINSTRING", b"V": "UNICODE",
    b"d": "DICT", b"g": "GET", b"i": "INST", b"l": "LIST", b"o": "OBJ", b"p": "PUT",
    b"B": "BINBYTES", b"C": "SHORT_BINBYTES", b"\x81": "NEWOBJ", b"\x82": "EXT1",
    b"\x83": "EXT2", b"\x84": "EXT4", b"\x8b": "LONG4", b"\x8e": "BINBYTES8", b"\x8f": "EMPTY_SET",
    b"\x90": "ADDITEMS", b"\x91": "FROZENSET", b"\x92": "NEWOBJ_EX",
    b"\x96": "BYTEARRAY8", b"\x97": "NEXT_BUFFER", b"\x98": "READONLY_BUFFER",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Name:
    """A global: a module and a name in it, which are never looked up."""

    module: str
    name: str


class _Mark:
    """Where a run of items on the stack begins."""


def read_pickle(data: memoryview, start: int = 0) -> tuple[Any, int]:
    r"""What a program builds.

    Args:
        data: Bytes that hold the program.
        start: Where it begins.

    Returns:
        The value, and the byte behind the program: numbers, texts, tuples, lists, dicts, None and
        :class:`TensorRef`, which may hold themselves.

    Raises:
        Refused: It is no program of the closed lists, is cut off, or asks for too much.

    Example:
        >>> read_pickle(memoryview(b"\x80\x02}X\x01\x00\x00\x00aK\x07s."))
        ({'a': 7}, 13)
        >>> read_pickle(memoryview(b"cos\nsystem\n."))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        cnntool.nn.tensor_header.Refused: its pickle names 'os.system' at byte 0, which is no ...
    """
    return _Machine(data, start).run()


class _Machine:
    """Follows the instructions of one program.

    Args:
        data: Bytes that hold it.
        start: Where it begins.
    """

    def __init__(self, data: memoryview, start: int) -> None:
        self._data, self._at, self._step = data, start, start
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> tuple[Any, int]:
        """See :func:`read_pickle`."""
        for _ in range(MAX_STEPS):
            self._step = self._at
            code = bytes(self._take(1))
            if code == b".":
                if len(self._stack) != 1:
                    raise self._odd(f"it ends with {len(self._stack)} values instead of one")
                return self._pop(), self._at
            handler = _HANDLERS.get(code)
            if handler is None:
                name = _FOREIGN.get(code, f"0x{code.hex()}")
                raise Refused(
                    f"its pickle has the instruction {name} at byte {self._step}, which no state "
                    "dict needs; it was not run"
                )
            handler(self)
        raise Refused(f"its pickle has more than {MAX_STEPS} instructions")

    # ------------------------------------------------------------------------------ bytes, stack
    def _take(self, count: int) -> memoryview:
        end = self._at + count
        if end > len(self._data):
            raise Refused("truncated: its pickle breaks off; make or fetch it again")
        found = self._data[self._at : end]
        self._at = end
        return found

    def _number(self, form: str) -> int:
        return int(struct.unpack(form, self._take(struct.calcsize(form)))[0])

    def _text(self, length: int) -> str:
        if length > MAX_TEXT:
            raise self._odd(f"a text of {length} bytes; at most {MAX_TEXT} are read")
        try:
            return str(self._take(length), "utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise self._odd("a text that is no UTF-8") from None

    def _line(self) -> str:
        """A text that ends with a line feed."""
        found = bytes(self._data[self._at : self._at + _LONGEST_NAME]).find(b"\n")
        if found < 0:
            raise self._odd("a name that does not end")
        line = bytes(self._take(found + 1)[:-1])
        return line.decode("utf-8", "backslashreplace")

    def _odd(self, what: str) -> Refused:
        return Refused(f"its pickle is damaged: {what}, at byte {self._step}")

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop(self) -> Any:
        if not self._stack or isinstance(self._stack[-1], _Mark):
            raise self._odd("a value is missing")
        return self._stack.pop()

    def _items(self) -> list[Any]:
        """Everything behind the last mark."""
        place = len(self._stack) - 1
        while place >= 0 and not isinstance(self._stack[place], _Mark):
            place -= 1
        if place < 0:
            raise self._odd("a mark is missing")
        items = self._stack[place + 1 :]
        del self._stack[place:]
        return items

    # ------------------------------------------------------------------------------ instructions
    def proto(self) -> None:
        """PROTO: the version of the instructions."""
        version = self._number("<B")
        if not 2 <= version <= 5:
            raise Refused(f"its pickle is of protocol {version}; torch writes 2 to 5")

    def frame(self) -> None:
        """FRAME: how long a part is."""
        self._take(8)

    def mark(self) -> None:
        """MARK."""
        self._push(_Mark())

    def put(self, form: str) -> None:
        """BINPUT, LONG_BINPUT: remember the last value."""
        number = self._number(form)
        value = self._pop()
        self._memo[number] = value
        self._push(value)

    def memoize(self) -> None:
        """MEMOIZE: remember the last value under the next number."""
        value = self._pop()
        self._memo[len(self._memo)] = value
        self._push(value)

    def get(self, form: str) -> None:
        """BINGET, LONG_BINGET: a value that was remembered."""
        number = self._number(form)
        if number not in self._memo:
            raise self._odd(f"the value {number} was never remembered")
        self._push(self._memo[number])

    def long(self) -> None:
        """LONG1: a whole number of up to 255 bytes."""
        self._push(int.from_bytes(self._take(self._number("<B")), "little", signed=True))

    def real(self) -> None:
        """BINFLOAT."""
        self._push(struct.unpack(">d", self._take(8))[0])

    def tuple_of(self, count: int) -> None:
        """TUPLE1, TUPLE2, TUPLE3."""
        items = [self._pop() for _ in range(count)]
        self._push(tuple(reversed(items)))

    def append(self) -> None:
        """APPEND."""
        self._extend([self._pop()])

    def _extend(self, items: list[Any]) -> None:
        into = self._pop()
        if not isinstance(into, list):
            raise self._odd("items are appended to what is no list")
        into.extend(items)
        self._push(into)

    def set_item(self) -> None:
        """SETITEM."""
        value, key = self._pop(), self._pop()
        self._set([key, value])

    def _set(self, pairs: list[Any]) -> None:
        into = self._pop()
        if not isinstance(into, dict) or len(pairs) % 2:
            raise self._odd("entries are set in what is no dict")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            self._enter(into, key, value)
        self._push(into)

    def _enter(self, into: dict[Any, Any], key: object, value: object) -> None:
        if not isinstance(key, str | int):
            raise self._odd("a key that is neither text nor whole number")
        if isinstance(key, str) and key in into:
            raise self._odd(f"the key '{shown(key)}' stands twice")
        into[key] = value

    def name(self) -> None:
        """GLOBAL: a name, of the closed list."""
        self._named(self._line(), self._line())

    def stacked_name(self) -> None:
        """STACK_GLOBAL: the same from two texts."""
        name, module = self._pop(), self._pop()
        if not isinstance(module, str) or not isinstance(name, str):
            raise self._odd("a name that is no text")
        self._named(module, name)

    def _named(self, module: str, name: str) -> None:
        if (module, name) not in _NAMES:
            raise self._foreign(module, name)
        self._push(_Name(module, name))

    def _foreign(self, module: str, name: str) -> Refused:
        said = f"its pickle names '{shown(f'{module}.{name}', 60)}' at byte {self._step}"
        if module.startswith("torch.nn.modules."):
            return Refused(
                f"{said}: a whole network, which needs its code; save its state_dict() in torch"
            )
        return Refused(f"{said}, which is no part of a state dict; it was not run")

    def reduce(self) -> None:
        """REDUCE: what a name of the closed list makes of arguments."""
        arguments, what = self._pop(), self._pop()
        if not isinstance(what, _Name) or not isinstance(arguments, tuple):
            raise self._odd("something is called that has no name")
        maker = _MAKERS.get(what.name)
        if maker is None:
            raise self._odd(f"{what.name} is called")
        self._push(maker(self, arguments))

    def ordered(self, arguments: tuple[Any, ...]) -> dict[Any, Any]:
        """``OrderedDict()``, or of pairs."""
        found: dict[Any, Any] = {}
        pairs = arguments[0] if arguments else []
        if len(arguments) > 1 or not isinstance(pairs, list | tuple):
            raise self._odd("an OrderedDict of what are no pairs")
        for pair in pairs:
            if not isinstance(pair, list | tuple) or len(pair) != 2:
                raise self._odd("an OrderedDict of what are no pairs")
            self._enter(found, *pair)
        return found

    def tensor(self, arguments: tuple[Any, ...]) -> TensorRef:
        """``_rebuild_tensor_v2(storage, offset, size, stride, …)``."""
        if len(arguments) < 4 or not isinstance(arguments[0], StorageRef):
            raise self._odd("a tensor without its storage")
        storage, offset, shape, strides = arguments[:4]
        numbers = (offset, *shape, *strides) if _tuples(shape, strides) else ()
        if (
            not numbers
            or len(shape) != len(strides)
            or len(shape) > MAX_AXES
            or not all(type(number) is int and 0 <= number < 1 << 48 for number in numbers)
        ):
            raise self._odd("a tensor of impossible shape")
        found = TensorRef(storage, offset, shape, strides)
        if found.reach > storage.count:
            raise self._odd(
                f"a tensor needs {found.reach} numbers of storage '{shown(storage.key)}', which "
                f"has {storage.count}"
            )
        return found

    def parameter(self, arguments: tuple[Any, ...]) -> TensorRef:
        """``_rebuild_parameter(tensor, …)``."""
        if not arguments or not isinstance(arguments[0], TensorRef):
            raise self._odd("a parameter that is no tensor")
        return arguments[0]

    def size(self, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """``torch.Size(sizes)``."""
        if len(arguments) != 1 or not isinstance(arguments[0], tuple):
            raise self._odd("a size that is no tuple")
        return arguments[0]

    def build(self) -> None:
        """BUILD: attributes of an OrderedDict, such as the versions of layers; left out."""
        state, what = self._pop(), self._pop()
        if not isinstance(what, dict) or not isinstance(state, dict):
            raise self._odd("attributes are set of what is no OrderedDict")
        self._push(what)

    def storage(self) -> None:
        """BINPERSID: numbers that stand elsewhere in the file."""
        found = self._pop()
        if (
            not isinstance(found, tuple)
            or len(found) not in (5, 6)
            or found[0] != "storage"
            or not isinstance(found[1], _Name)
            or found[1].name not in STORAGES
            or not isinstance(found[2], str)
            or type(found[4]) is not int
            or not 0 <= found[4] < 1 << 48
        ):
            raise self._odd("a reference to no storage")
        if len(found) == 6 and found[5] is not None:
            raise Refused("its storages are parts of others, as torch before 0.4 wrote them")
        self._push(StorageRef(found[2], STORAGES[found[1].name], found[4]))


def _tuples(*values: object) -> bool:
    return all(isinstance(value, tuple) for value in values)


_MAKERS: Mapping[str, Callable[[_Machine, tuple[Any, ...]], Any]] = {
    "OrderedDict": _Machine.ordered,
    "Size": _Machine.size,
    "_rebuild_parameter": _Machine.parameter,
    "_rebuild_tensor": _Machine.tensor,
    "_rebuild_tensor_v2": _Machine.tensor,
}

_HANDLERS: Mapping[bytes, Callable[[_Machine], None]] = {
    b"\x80": _Machine.proto,
    b"\x95": _Machine.frame,
    b"(": _Machine.mark,
    b"q": lambda m: m.put("<B"),
    b"r": lambda m: m.put("<I"),
    b"\x94": _Machine.memoize,
    b"h": lambda m: m.get("<B"),
    b"j": lambda m: m.get("<I"),
    b"N": lambda m: m._push(None),
    b"\x88": lambda m: m._push(True),
    b"\x89": lambda m: m._push(False),
    b"K": lambda m: m._push(m._number("<B")),
    b"M": lambda m: m._push(m._number("<H")),
    b"J": lambda m: m._push(m._number("<i")),
    b"\x8a": _Machine.long,
    b"G": _Machine.real,
    b"X": lambda m: m._push(m._text(m._number("<I"))),
    b"\x8c": lambda m: m._push(m._text(m._number("<B"))),
    b"\x8d": lambda m: m._push(m._text(m._number("<Q"))),
    b")": lambda m: m._push(()),
    b"\x85": lambda m: m.tuple_of(1),
    b"\x86": lambda m: m.tuple_of(2),
    b"\x87": lambda m: m.tuple_of(3),
    b"t": lambda m: m._push(tuple(m._items())),
    b"]": lambda m: m._push([]),
    b"a": _Machine.append,
    b"e": lambda m: m._extend(m._items()),
    b"}": lambda m: m._push({}),
    b"s": _Machine.set_item,
    b"u": lambda m: m._set(m._items()),
    b"c": _Machine.name,
    b"\x93": _Machine.stacked_name,
    b"R": _Machine.reduce,
    b"b": _Machine.build,
    b"Q": _Machine.storage,
}
