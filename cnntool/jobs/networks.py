"""``shape`` and ``models``: networks from what a user types, and their rows and sums as text.

The answers are integers: NumPy is loaded for the network of a model file alone.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from cnntool.errors import NameNotFound, OptionError
from cnntool.files import quote
from cnntool.models import MODELS, create, find
from cnntool.models.adversarial import GANS, create_gan
from cnntool.nn.calculator import Question, calculate
from cnntool.nn.gan_spec import GanSpec, is_gan, pairs
from cnntool.nn.layer_rows import LayerRow, Trace
from cnntool.nn.layer_words import ALIASES, COMBINATORS, LAYERS, canonical
from cnntool.nn.shapes import trace
from cnntool.nn.spec import Spec
from cnntool.nn.tokens import MAX_TEXT
from cnntool.nn.values import Padding
from cnntool.report.tables import Row, json_text

COLUMNS = (
    "name", "spec", "input", "output", "kernel", "stride", "padding", "params", "macs", "flops",
    "receptive_field", "jump", "activation_bytes",
)  # fmt: skip
"""Columns of ``shape`` in csv and tsv: the keys of its JSON."""

TABLE_COLUMNS = (
    "name", "spec", "output", "kernel", "stride", "padding", "params", "macs", "flops", "field",
    "jump", "bytes",
)  # fmt: skip
"""Columns of ``shape`` for reading: shorter names, and what stands in the row above left out."""

COMPARED = ("dense_params", "local_params")
"""Columns that ``--compare`` adds."""

MODEL_COLUMNS = ("name", "params", "input", "classes", "summary", "paper")
"""Columns of ``models``."""

_DIGITS = (1, 28, 28), 10  # what adversarial networks are listed for

_SHORT = {"receptive_field": "field", "activation_bytes": "bytes"}
_BYTES = 4 * MAX_TEXT  # characters of UTF-8 have at most 4 bytes


def network(text: str, classes: int | None = None) -> Spec:
    """The network that an argument of the command line means.

    Args:
        text: The name of a built-in network, a specification, ``@FILE`` or ``-`` (standard input)
            with a specification; or a model file or the folder of a training, whose network is
            meant.
        classes: For a built-in network: how many classes it shall tell apart.

    Raises:
        NameNotFound: It is one word, and neither a network nor a layer.
        SpecError: It is no specification.
        OptionError: The file cannot be read, or ``classes`` goes with a specification.
        ModelFileError: A model file that is damaged, or a folder without one.

    Example:
        >>> network("lenet5").input, network("conv 8 3 | relu").input
        ((1, 28, 28), None)
    """
    word = text.strip()
    if word in MODELS:
        return create(word, classes)
    if classes is not None:
        raise OptionError(
            "--classes changes built-in networks only; change the last size of the specification"
        )
    if is_model(word):
        return _saved(word)
    if word == "-" or word.startswith("@"):
        if word == "@":
            raise OptionError("'@' needs the name of a file: @net.txt")
        return Spec.of(read_text(word.removeprefix("@")))
    if word in GANS:
        raise OptionError(
            f"'{word}' are networks against each other; 'cnntool models {word}' prints them, "
            f"'cnntool train DATASET --model {word}' trains them"
        )
    if re.fullmatch(r"[\w.-]+", word) and canonical(word) not in (*LAYERS, *COMBINATORS):
        if Path(word).is_file():
            raise OptionError(
                f"{quote(word)} is a file; write {quote('@' + word)} if it holds a specification"
            )
        raise NameNotFound.among(
            "model", word, [*MODELS, *LAYERS, *COMBINATORS, *ALIASES], "cnntool models"
        )
    return Spec.of(text)


def gan_text(model: str | None) -> str | None:
    """What ``--model`` says: the text of ``@FILE`` if that holds adversarial networks, else itself.

    Raises:
        OptionError: The file cannot be read.
    """
    if model is None or not model.startswith("@") or model == "@":
        return model
    text = read_text(model.removeprefix("@"))
    return text if is_gan(text) else model


def is_model(text: str) -> bool:
    """Whether a text names a model file or a folder, not a network.

    Example:
        >>> is_model("lenet5"), is_model("conv 8 3 | relu")
        (False, False)
    """
    if canonical(text) in (*LAYERS, *COMBINATORS):
        return False
    try:
        place = Path(text)
        return place.is_dir() or (place.suffix == ".safetensors" and place.is_file())
    except (OSError, ValueError):  # too long for a name, as specifications may be
        return False


def _saved(path: str) -> Spec:
    """The network of a trained model."""
    from cnntool.predict.model import read_model

    _, saved = read_model(path)
    return replace(Spec.of(saved.spec, saved.input), name=saved.name)


def read_text(source: str, stdin: BinaryIO | None = None) -> str:
    """The text of a file, or of standard input for ``-``.

    Raises:
        OptionError: It cannot be read, is too long, or is no text.
    """
    name = "standard input" if source == "-" else quote(source)
    try:
        if source == "-":
            stream = stdin or (sys.stdin and sys.stdin.buffer)
            data = stream.read(_BYTES + 1) if stream else b""
        else:
            with open(source, "rb") as file:
                data = file.read(_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise OptionError(f"{name}: the specification cannot be read: {reason}") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if len(data) > _BYTES or "\0" in text:
        raise OptionError(f"{name}: no specification; it must be text, at most {MAX_TEXT} long")
    return text


def shape_rows(found: Trace, *, compare: bool, short: bool) -> Iterator[Row]:
    """A row a layer, its lists as texts.

    Args:
        found: The network.
        compare: Whether to add :data:`COMPARED`.
        short: Whether columns are called as in :data:`TABLE_COLUMNS`.
    """
    for row in found.rows:
        values = {name: _text(name, value) for name, value in row.as_json().items()}
        if compare:
            values |= _compared(row)
        if short:
            values = {_SHORT.get(name, name): value for name, value in values.items()}
            del values["input"]
        yield values


def _text(name: str, value: object) -> object:
    """Sizes as the specification writes them."""
    if name == "padding" and isinstance(value, list):
        return Padding().write(tuple(value))
    if isinstance(value, list):
        return "x".join(map(str, value))
    return value


def _compared(row: LayerRow) -> dict[str, int | None]:
    return {"dense_params": row.facts.dense, "local_params": row.facts.local}


def layer_objects(found: Trace, *, compare: bool) -> list[Row]:
    """A layer each, for JSON."""
    return [row.as_json() | (_compared(row) if compare else {}) for row in found.rows]


def json_lines(found: Trace, *, compare: bool) -> Iterator[str]:
    """Everything as one JSON object, a line a layer."""
    total: dict[str, int] = found.total()
    if compare:
        total |= _compared_total(found.rows)
    yield f'{{"input": {json_text(found.input)}, "layers": ['
    layers = layer_objects(found, compare=compare)
    for number, layer in enumerate(layers):
        yield json_text(layer) + ("," if number + 1 < len(layers) else "")
    yield f'], "total": {json_text(total)}}}'


def _compared_total(rows: Iterable[LayerRow]) -> dict[str, int]:
    """Parameters of the network if its layers were dense or k-local; others keep their own."""
    dense = local = 0
    for row in rows:
        dense += row.params if row.facts.dense is None else row.facts.dense
        local += row.params if row.facts.local is None else row.facts.local
    return {"dense_params": dense, "local_params": local}


def total_lines(found: Trace, batch: int) -> Iterator[str]:
    """The sums below the table."""
    total = found.total()
    of_batch = f"for a batch of {batch}" if batch > 1 else "for one input"
    memory = total["activation_bytes"]
    yield f"parameters   {total['params']} ({_bytes(total['parameter_bytes'])} in float32)"
    yield f"MACs         {total['macs']}{_large(total['macs'])} for one input, without biases"
    yield f"FLOPs        {total['flops']}{_large(total['flops'])} = 2 · MACs"
    yield f"activations  {memory} bytes ({_bytes(memory)} in float32) {of_batch}"


def compared_lines(found: Trace) -> Iterator[str]:
    """The sums of ``--compare``."""
    others = _compared_total(found.rows)
    yield f"if dense     {others['dense_params']} parameters: nothing shared, all connected"
    yield f"if k-local   {others['local_params']} parameters: nothing shared, windows kept"


def solution_rows(answers: Iterable[Question], unknown: str, *, texts: bool) -> Iterator[Row]:
    """A row for each answer of the solver.

    Args:
        answers: What it found.
        unknown: What it was asked for.
        texts: Give sizes as texts.
    """
    for answer in answers:
        row = calculate(answer).rows[0]
        plain = row.as_json()
        values = {
            unknown: plain[unknown],
            "spec": row.spec,
            "output": plain["output"],
            "params": row.params,
            "macs": row.macs,
        }
        yield {name: _text(name, value) for name, value in values.items()} if texts else values


def _large(number: int) -> str:
    """Large numbers again, short: `` (15.47 G)``."""
    for power, letter in ((12, "T"), (9, "G"), (6, "M")):
        if number >= 10**power:
            return f" ({number / 10**power:.2f} {letter})"
    return ""


def _bytes(count: int) -> str:
    """Memory for people.

    Example:
        >>> _bytes(246824), _bytes(100)
        ('241.0 KiB', '100 B')
    """
    for power, letter in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count >= 1 << power:
            return f"{count / (1 << power):.1f} {letter}"
    return f"{count} B"


def model_rows(names: Iterable[str], *, full: bool, short: bool) -> Iterator[Row]:
    """One row a built-in network.

    Args:
        names: Keys of the table.
        full: Give the specification, arithmetic and number of layers too, and sizes as lists.
        short: Give authors and year of the paper only.

    Raises:
        NameNotFound: There is no such network.
    """
    for name in names:
        model = find(name)
        spec = create(name)
        found = trace(spec.chain, model.input)
        row: dict[str, object] = {
            "name": name,
            "params": found.params,
            "input": list(model.input) if full else "x".join(map(str, model.input)),
            "classes": model.classes,
            "summary": model.summary,
            "paper": (model.paper.split(", ")[0] if short else model.paper) or None,
        }
        if full:
            row |= {"macs": found.macs, "layers": len(found.rows), "spec": spec.text}
        yield row


def gan_rows(names: Iterable[str], *, full: bool, short: bool) -> Iterator[Row]:
    """One row for each pair of built-in adversarial networks, as they are for digits.

    Args:
        names: Keys of :data:`cnntool.models.adversarial.GANS`.
        full: Give the specification too, and sizes as lists.
        short: Give authors and year of the paper only.
    """
    for name in names:
        gan, spec, width = GANS[name], digits_gan(name), _DIGITS[1]
        parts = [
            trace(chain, input)
            for pair in pairs(spec, _DIGITS[0], width if spec.condition == "class" else 0)
            for chain, input in (
                (pair.generator, pair.input), (pair.discriminator, pair.judged),
            )
        ]  # fmt: skip
        row: dict[str, object] = {
            "name": name,
            "params": sum(part.params for part in parts),
            "input": list(_DIGITS[0]) if full else "x".join(map(str, _DIGITS[0])),
            "classes": width if spec.condition == "class" else None,
            "summary": gan.summary,
            "paper": gan.paper.split(", ")[0] if short else gan.paper,
        }
        if full:
            layers = sum(len(part.rows) for part in parts)
            macs = sum(part.macs for part in parts)
            row |= {"macs": macs, "layers": layers, "spec": spec.text}
        yield row


def digits_gan(name: str) -> GanSpec:
    """Built-in adversarial networks for pictures of digits."""
    shape, width = _DIGITS
    return create_gan(name, shape, width if "class" in GANS[name].conditions[:1] else 0)


def complete(prefix: str) -> list[tuple[str, str]]:
    """Names of built-in networks and layers that begin with ``prefix``, each with its line.

    Example:
        >>> complete("lenet5")
        [('lenet5', 'LeNet-5 as taught: ReLU, max pooling')]
    """
    found = [(model.name, model.summary) for model in MODELS.values()]
    found += [(layer.word, f"layer: {layer.summary}") for layer in LAYERS.values()]
    return [pair for pair in found if pair[0].startswith(prefix)]
