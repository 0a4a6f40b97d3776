"""The language of ``--kernel``: names, names with parameters, matrices, JSON, ``@file``.

``parse_kernel`` reads one such text, ``what_names`` says how the outputs of several are called, and
``complete`` offers names to a shell. Importing this module does not load NumPy.
"""

from __future__ import annotations

from collections.abc import Iterable

from cnntool.errors import NameNotFound, OptionError
from cnntool.filters.kernel import Kernel
from cnntool.filters.kernel_families import FAMILIES, FAMILY_ALIASES, Family
from cnntool.filters.kernel_files import read_kernel, safe_word, stem
from cnntool.filters.kernel_matrix import number, parse_json, parse_matrix, real, shown
from cnntool.filters.kernels import ALIASES, GROUPS, KERNELS
from cnntool.filters.operators import OPERATORS

EDGE_OPERATORS = tuple(OPERATORS)
"""Words that ``cnntool edges --operator`` takes."""

_NUMBER_WORDS = {2: "two", 4: "four", 8: "eight"}


def parse_kernel(text: str) -> Kernel:
    """The kernel that a text names or writes out.

    Args:
        text: A name (``sobel-x``), a name with parameters (``gaussian:sigma=1.4``,
            ``gaussian:1.4``), a matrix (``"0 1 0; -1 2 -1; 0 1 0"``, rows parted by ``;`` or line
            ends, fractions such as 1/9 allowed), JSON (``[[0, 1], [1, 0]]``), or ``@file`` with
            one of these or .npy.

    Raises:
        NameNotFound: No kernel has this name; the message offers near ones.
        OptionError: Rows of different lengths, a token that is no number, a parameter that does
            not exist or is out of range, or a file that cannot be read.

    Example:
        >>> parse_kernel("sobel-x").weights
        ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1))
        >>> parse_kernel("box:2,3").scale
        6
        >>> parse_kernel("1 0; 0 -1").size
        (2, 2)
    """
    stripped = text.strip()
    if not stripped:
        raise OptionError(
            "the kernel is empty; write a name (sobel-x) or a matrix ('0 1 0; 1 -4 1; 0 1 0')"
        )
    if stripped.startswith("@"):
        return read_kernel(text.lstrip()[1:])
    if stripped[0] in "[{":
        return parse_json(stripped, "custom", shown(stripped))
    if _is_matrix(stripped):
        return parse_matrix(stripped, "custom", shown(stripped))
    name, colon, parameters = _normal(stripped).partition(":")
    family = FAMILIES.get(FAMILY_ALIASES.get(name, name))
    if family is not None:
        return family.kernel(_parameters(family, parameters, bool(colon)))
    kernel = KERNELS.get(ALIASES.get(name, name))
    if kernel is None:
        raise _unknown(name)
    if colon:
        raise OptionError(f"kernel '{name}' takes no parameters, got ':{shown(parameters)}'")
    return kernel


def _is_matrix(text: str) -> bool:
    first = text.replace(",", " ").split()[:1]
    return (
        not text[0].isalpha()
        or any(mark in text for mark in ";\n")
        or first[0].lower() in ("nan", "inf", "infinity")
    )


def _normal(text: str) -> str:
    """Names in one spelling: lower case, dashes, no blanks around ``:``, ``=`` and ``,``."""
    for mark in ":=,":
        text = mark.join(part.strip() for part in text.split(mark))
    name, colon, rest = text.partition(":")
    return name.lower().replace("_", "-") + colon + rest.lower()


def _parameters(family: Family, text: str, colon: bool) -> dict[str, float]:
    """Values by key from ``1.4,size=7``; positional ones come first, in the family's order."""
    keys = [parameter.key for parameter in family.parameters]
    if colon and not text:
        raise OptionError(
            f"kernel '{family.name}': nothing follows the colon; write {family.example}"
        )
    values: dict[str, float] = {}
    named = False
    for place, part in enumerate(text.split(",") if text else []):
        key, equals, value = part.partition("=")
        if not equals:
            key, value = "", part
            if named:
                raise OptionError(
                    f"kernel '{family.name}': '{shown(part)}' follows a key=value and needs a key "
                    f"itself; it takes {', '.join(keys)}"
                )
            if place >= len(keys):
                raise OptionError(
                    f"kernel '{family.name}' takes at most {len(keys)} values "
                    f"({', '.join(keys)}), got {len(text.split(','))}"
                )
        named = named or bool(equals)
        key = key or keys[place]
        if key in values:
            raise OptionError(f"kernel '{family.name}': {key} is given twice")
        if not value:
            raise OptionError(f"kernel '{family.name}': {shown(key)} has no value")
        values[key] = real(number(value, f"kernel '{family.name}': {shown(key)}"))
    return values


def _unknown(name: str) -> NameNotFound:
    members = GROUPS.get(name, ())
    command = f"'cnntool edges --operator {name}'" if name in EDGE_OPERATORS else ""
    if members:
        kind = "an operator" if command else "a set"
        near = [*members, command] if command else list(members)
        return NameNotFound(
            f"'{name}' is {kind} of {_NUMBER_WORDS[len(members)]} kernels; did you mean "
            f"{', '.join(near[:-1])}, or {near[-1]}?",
            name=name,
            near=list(members),
        )
    if command:
        return NameNotFound(
            f"'{name}' is an edge operator, not a kernel; did you mean {command}?",
            name=name,
            near=[],
        )
    known = [*KERNELS, *ALIASES, *FAMILIES, *FAMILY_ALIASES]
    return NameNotFound.among("kernel", shown(name), known, see="cnntool kernels")


def what(text: str) -> str:
    """The word for this kernel in output names; the kernel is not read or checked.

    Example:
        >>> what("gaussian:sigma=1.4"), what("1 0; 0 -1"), what("@my/blur.txt")
        ('gaussian-sigma-1.4', 'custom', 'blur')
    """
    stripped = text.strip()
    if stripped.startswith("@"):
        return stem(text.lstrip()[1:])
    if not stripped or stripped[0] in "[{" or _is_matrix(stripped):
        return "custom"
    return safe_word(_normal(stripped).translate(str.maketrans(":=,", "---")))


def what_names(texts: Iterable[str]) -> list[str]:
    """One word for each kernel, all different also where case does not count.

    Example:
        >>> what_names(["0 1 0", "sobel-x", "1 2 1", "sobel-x"])
        ['custom', 'sobel-x', 'custom2', 'sobel-x_2']
    """
    names: list[str] = []
    taken: set[str] = set()
    for text in texts:
        base = name = what(text)
        serial = 1
        while name.casefold() in taken:
            serial += 1
            # box-3 again is box-3_2: box-32 is another kernel
            name = f"{base}{serial}" if base == "custom" else f"{base}_{serial}"
        taken.add(name.casefold())
        names.append(name)
    return names


def complete(prefix: str) -> list[tuple[str, str]]:
    """What may stand for an unfinished ``--kernel`` text, each with a line that explains it.

    Args:
        prefix: What is typed so far: part of a name, or a family with some of its parameters.

    Example:
        >>> complete("gaussian:si")[0]
        ('gaussian:sigma=', 'from 0.01 to 1000')
    """
    name, colon, typed = prefix.partition(":")
    name = name.lower().replace("_", "-")
    if colon:
        family = FAMILIES.get(FAMILY_ALIASES.get(name, name))
        if family is None:
            return []
        done, comma, last = typed.rpartition(",")
        used = {part.partition("=")[0] for part in done.split(",")}
        return [
            (f"{name}:{done}{comma}{parameter.key}=", parameter.range)
            for parameter in family.parameters
            if parameter.key.startswith(last) and parameter.key not in used
        ]
    found = [(word, kernel.summary) for word, kernel in KERNELS.items()]
    found += [(word, f"{KERNELS[full].summary} (= {full})") for word, full in ALIASES.items()]
    for word in [*FAMILIES, *FAMILY_ALIASES]:
        found += _of_family(word, FAMILIES[FAMILY_ALIASES.get(word, word)])
    return sorted(pair for pair in found if pair[0].startswith(name))


def _of_family(word: str, family: Family) -> list[tuple[str, str]]:
    bare = [(word, family.summary)] if not any(p.required for p in family.parameters) else []
    return [*bare, (f"{word}:", f"{family.summary} ({family.form})")]
