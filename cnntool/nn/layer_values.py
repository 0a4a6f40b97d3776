"""Layers from words and values: checked, defaults filled in, equal where they mean the same."""

from __future__ import annotations

from collections.abc import Mapping

from cnntool.errors import NameNotFound, SpecError
from cnntool.grammar import NOWHERE, BadValue, Place
from cnntool.nn.layer_words import ALIASES, LAYERS, LayerWord, canonical
from cnntool.nn.nodes import Layer, Value
from cnntool.nn.settings import Settings


def settings(layer: Layer) -> Settings:
    """All settings of a layer, those left out with their defaults.

    Example:
        >>> settings(layer("maxpool", kernel=3)).pair("stride")
        (3, 3)
    """
    return _complete(LAYERS[layer.word], dict(layer.given))


def _complete(entry: LayerWord, given: Mapping[str, Value]) -> Settings:
    values: dict[str, Value] = {}
    for setting in entry.settings:
        # what a setting follows stands before it in the table
        default = values[setting.like] if setting.like else setting.default
        values[setting.name] = given.get(setting.name, default)
    return Settings(values)


def layer(word: str, place: Place = NOWHERE, /, **values: Value) -> Layer:
    """A layer from values, checked as the parser checks texts.

    Args:
        word: A key of :data:`LAYERS` or an alias.
        place: Where it stands in a text.
        values: Settings by name; pairs and sides may be one int.

    Raises:
        NameNotFound: There is no such layer.
        SpecError: A setting that it does not take, one that is missing, or a wrong value.

    Example:
        >>> layer("conv", out=8, kernel=3, pad=(1, 1, 1, 1), stride=1)
        Layer(word='conv', given=(('out', 8), ('kernel', (3, 3)), ('pad', (1, 1, 1, 1))))
    """
    entry = LAYERS.get(canonical(word))
    if entry is None:
        raise NameNotFound.among("layer", word, [*LAYERS, *ALIASES])
    checked: dict[str, Value] = {}
    for name, value in values.items():
        setting = entry.setting(name)
        if setting is None:
            known = ", ".join(setting.name for setting in entry.settings) or "nothing"
            raise SpecError(f"{entry.word} has no setting '{name}'; it takes {known}")
        try:
            checked[name] = value if value is None else setting.kind.check(value)
        except BadValue as error:
            raise SpecError(
                f"{entry.word}: {name}={value!r} does not fit; it must be {setting.kind.form}"
            ) from error
    for setting in entry.settings:
        if setting.required and checked.get(setting.name) is None:
            raise SpecError(f"{entry.word} needs {setting.name}, {setting.summary}")
    return normal_layer(entry, checked, place)


def normal_layer(entry: LayerWord, values: Mapping[str, Value], place: Place) -> Layer:
    """A layer from checked values: defaults left out, in the table's order.

    Raises:
        SpecError: The values exclude each other.
    """
    complete = _complete(entry, values)
    problem = entry.check(complete)
    if problem:
        raise SpecError(f"{entry.word}: {problem}", line=place.line, column=place.column)
    given: list[tuple[str, Value]] = []
    for setting in entry.settings:
        default = complete[setting.like] if setting.like else setting.default
        if complete[setting.name] != default:
            given.append((setting.name, complete[setting.name]))
    return Layer(entry.word, tuple(given), place)
