"""``train --model FILE``: training that begins with a model, parts of it kept, others new."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from numpy.typing import NDArray

from cnntool.data.dataset import Dataset
from cnntool.errors import NameNotFound, OptionError
from cnntool.files import quote
from cnntool.models import MODELS
from cnntool.nn.layer_rows import LayerRow
from cnntool.nn.nodes import Chain, Layer
from cnntool.nn.saved_model import SavedModel
from cnntool.nn.shapes import trace
from cnntool.nn.spec import format_spec, parse
from cnntool.predict.model import load_saved
from cnntool.predict.pretrained import is_pretrained
from cnntool.train.options import Options

ALL = "all"
"""What ``--freeze`` takes for every layer but the last one with weights."""

_HEADS = ("dense", "conv")
_AFTER = ("softmax", "sigmoid")  # what may follow a last layer


@dataclass(frozen=True)
class Start:
    """A model that training begins with.

    Attributes:
        path: As it was given.
        saved: What its file says.
    """

    path: str
    saved: SavedModel

    @classmethod
    def load(cls, path: str) -> Start:
        """Read a model.

        Raises:
            As :func:`cnntool.predict.model.load_saved`; OptionError: It takes no pictures.
        """
        file, saved = load_saved(path, tasks=("classify", "segment"))
        if saved.features is not None or len(saved.input) != 3:
            raise OptionError(
                f"{quote(file)}: it takes {'features' if saved.features else 'vectors'}, no "
                "pictures, so no network can be trained further"
            )
        return cls(path, saved)

    @property
    def data(self) -> dict[str, Any]:
        """How pictures are brought to what the model takes."""
        how = self.saved.preprocessing
        return {
            "size": self.saved.input[1:],
            "color": how.color,
            "fit": how.fit,
            "preprocessing": asdict(how),
        }

    def fitted(
        self, dataset: Dataset, freeze: Sequence[str], *, new_head: bool
    ) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Options of a training, and its first weights.

        Args:
            dataset: What is learned.
            freeze: Names of layers, or of groups that they are in.
            new_head: Whether the last layer begins anew, with an output for each class.

        Raises:
            OptionError: Classes that are not the model's, a model for something else, a network
                without a last layer, nothing left to learn.
            NameNotFound: There is no such layer.
        """
        saved, where = self.saved, quote(self.path)
        if dataset.segments != (saved.task == "segment"):
            does = {"classify": "pictures", "segment": "pixels"}[saved.task]
            has = "pixels" if dataset.segments else "pictures"
            raise OptionError(
                f"{where} tells classes of {does}; '{dataset.name}' has them of {has}"
            )
        outputs = saved.trace().output[0]
        names = saved.classes or tuple(map(str, range(outputs)))
        if not new_head and names != dataset.classes:
            raise OptionError(
                f"{where} tells classes {listed(names)}, '{dataset.name}' has "
                f"{listed(dataset.classes)}; --new-head gives the network a new last layer for them"
            )
        chain = parse(saved.spec)
        rows = trace(chain, saved.input).rows
        weights = dict(saved.tensors)
        text = saved.spec
        if new_head:
            head = _head(chain, rows, where)
            text = _with_outputs(chain, len(dataset.classes))
            start = f"{head.name}."
            weights = {name: x for name, x in weights.items() if not name.startswith(start)}
        found = trace(parse(text), saved.input).rows
        options = {
            "spec": text,
            "input": saved.input,
            "start": self.path,
            "new_head": new_head,
            "freeze": frozen(found, freeze),
        }
        return options, weights


def begins(model: str | None, asked: Mapping[str, Any]) -> bool:
    """Whether a training begins with a model: its file, its run's folder, or a pretrained one.

    The name of a pretrained network alone means new weights, as the names of all others do.
    """
    if model is None:
        return False
    if is_pretrained(model):
        return bool(asked.get("freeze") or asked.get("new_head"))
    if model in MODELS:
        return False
    there = os.path.exists(model)  # noqa: PTH110 - false for texts that are no path at all
    return there or model.endswith(".safetensors") or _is_path(model)


def _is_path(text: str) -> bool:
    """Whether a text that names nothing can only be a path: runs/mnist."""
    return re.fullmatch(r"[^@|()=\s][^|()=\s]*", text) is not None and "/" in text


def frozen(rows: Sequence[LayerRow], asked: Sequence[str]) -> tuple[str, ...]:
    """The layers with weights that are meant, in their order.

    Args:
        rows: Of the network.
        asked: Names; of a group all in it are meant, as ``3`` means ``3.main.0.conv``.

    Raises:
        NameNotFound: One is neither a layer nor a group of layers with weights.
        OptionError: No layer is left to learn.
    """
    learning = [row.name for row in rows if row.parameters]
    chosen: set[str] = set()
    for name in asked:
        if name == ALL:
            chosen |= set(learning[:-1])
            continue
        found = {layer for layer in learning if layer == name or layer.startswith(f"{name}.")}
        if not found:
            raise NameNotFound.among("layer with weights", name, [*learning, ALL], listed=True)
        chosen |= found
    if learning and chosen == set(learning):
        raise OptionError("--freeze leaves no layer to learn; --freeze all leaves the last one")
    return tuple(name for name in learning if name in chosen)


def _head(chain: Chain, rows: Sequence[LayerRow], where: str) -> LayerRow:
    """The row of the last layer with weights, which must stand at the end."""
    last = _last(chain)
    if last is None:
        raise OptionError(
            f"{where}: its network does not end in dense or conv, so it has no last layer to "
            "replace; --freeze keeps layers as they are"
        )
    return next(row for row in reversed(rows) if row.parameters)


def _last(chain: Chain) -> int | None:
    """Where the last layer stands among the items of a chain."""
    for number in range(len(chain.items) - 1, -1, -1):
        item = chain.items[number]
        if isinstance(item, Layer) and item.word in _AFTER:
            continue
        plain = isinstance(item, Layer) and item.word in _HEADS
        return number if plain else None
    return None


def _with_outputs(chain: Chain, count: int) -> str:
    """The specification with another size of its last layer."""
    number = _last(chain)
    assert number is not None
    item = chain.items[number]
    assert isinstance(item, Layer)
    given = tuple((name, count if name == "out" else value) for name, value in item.given)
    items = (*chain.items[:number], replace(item, given=given), *chain.items[number + 1 :])
    return format_spec(replace(chain, items=items))


def listed(names: Sequence[str]) -> str:
    """How many classes there are, and the first of them.

    Example:
        >>> listed(("cat", "dog"))
        "2 ('cat', 'dog')"
    """
    shown = ", ".join(f"'{name[:20]}'" for name in names[:3])
    return f"{len(names)} ({shown}{', …' if len(names) > 3 else ''})"


def describe(options: Options) -> str:
    """What is said of it before a training; empty if it begins anew."""
    if not options.start:
        return ""
    parts = [f"weights of {quote(options.start)}"]
    if options.new_head:
        parts.append("a new last layer")
    if options.freeze:
        shown = ", ".join(options.freeze[:4]) + (", …" if len(options.freeze) > 4 else "")
        parts.append(f"{len(options.freeze)} layers kept as they are ({shown})")
    return "; ".join(parts)
