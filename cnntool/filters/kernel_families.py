"""Kernels with parameters: box, Gaussian and its relatives, motion, disk, Gabor.

Each family names its parameters, their ranges and defaults, and a function that builds the rows.
Reading text, checking ranges and listing are the same for all. Nothing here needs NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cnntool.errors import OptionError
from cnntool.filters.kernel import Kernel, Rows

MAX_SIDE = 1001
"""Largest height and width of a kernel that text may describe, in pixels."""

Values = Mapping[str, float]
"""Parameters as given; those without a default that were left out are missing."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a family.

    Args:
        key: Its name in ``key=value``.
        low: Smallest value.
        high: Largest value.
        whole: Whether only whole numbers make sense.
        default: Value if left out; None where ``required`` or where the family works it out.
        required: Whether it must be given.
        other: A second key that is accepted.
    """

    key: str
    low: float
    high: float
    whole: bool = False
    default: float | None = None
    required: bool = False
    other: str = ""

    @property
    def range(self) -> str:
        """Its values in words."""
        words = f"from {self.low:g} to {self.high:g}"
        return f"a whole number {words}" if self.whole else words

    def check(self, family: str, value: float) -> float:
        """The value, an int where only whole numbers make sense.

        Raises:
            OptionError: It is out of range or not whole.
        """
        if self.whole and value != int(value):
            raise OptionError(f"kernel '{family}': {self.key}={value:g} must be a whole number")
        if not self.low <= value <= self.high:
            raise OptionError(
                f"kernel '{family}': {self.key}={value:g} is out of range; it must be {self.range}"
            )
        return int(value) if self.whole else value


@dataclass(frozen=True)
class Family:
    """Kernels of one formula.

    Args:
        name: The word before the colon.
        parameters: In the order of positional values.
        build: Weights, divisor from the checked values.
        summary: What the kernels do, one line.
        source: Where the formula comes from, one line.
        example: A complete text that names one of them.
        refused: Keys that others know but that cannot be had here, with the reason.
    """

    name: str
    parameters: tuple[Parameter, ...]
    build: Callable[[Values], tuple[Rows, float]]
    summary: str
    source: str
    example: str
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def form(self) -> str:
        """How to write it: ``gaussian:sigma=S[,size=N]``."""
        parts: list[str] = []
        for parameter in self.parameters:
            part = f"{parameter.key}={parameter.key[0].upper()}"
            part = ("," if parts else ":") + part
            parts.append(part if parameter.required else f"[{part}]")
        return self.name + "".join(parts)

    def kernel(self, values: Values) -> Kernel:
        """The kernel for these parameters, named after them.

        Raises:
            OptionError: An unknown key, one missing, or a value out of range.
        """
        keys = {p.key: p for p in self.parameters} | {
            p.other: p for p in self.parameters if p.other
        }
        checked: dict[str, float] = {}
        for key, value in values.items():
            parameter = keys.get(key)
            if key in self.refused:
                raise OptionError(f"kernel '{self.name}': {self.refused[key]}")
            if parameter is None:
                known = ", ".join(p.key for p in self.parameters)
                raise OptionError(
                    f"kernel '{self.name}' has no parameter '{key}'; it takes {known}"
                )
            if parameter.key in checked:
                raise OptionError(f"kernel '{self.name}': {parameter.key} is given twice")
            checked[parameter.key] = parameter.check(self.name, value)
        given = ",".join(f"{key}={value:.12g}" for key, value in checked.items())
        for parameter in self.parameters:
            if parameter.required and parameter.key not in checked:
                raise OptionError(
                    f"kernel '{self.name}' needs {parameter.key}; write {self.example}"
                )
            if parameter.default is not None:
                checked.setdefault(parameter.key, parameter.default)
        rows, scale = self.build(checked)
        name = f"{self.name}:{given}" if given else self.name
        return Kernel(name, rows, self.summary, self.source, scale)


# ------------------------------------------------------------------------------------- formulas
def _side(values: Values, sigma: float, family: str, least: int = 1) -> int:
    """Side of a matrix for a bell of width sigma: as given, or to 4 sigma each way, as scipy."""
    size = int(values["size"]) if "size" in values else 2 * int(4 * sigma + 0.5) + 1
    if size > MAX_SIDE:
        raise OptionError(
            f"kernel '{family}': sigma={sigma:g} needs {size} pixels a side, more than {MAX_SIDE}; "
            "take a smaller sigma, or give size= to cut the tails"
        )
    return max(size, least)


def _bell(sigma: float, size: int) -> tuple[float, ...]:
    middle = (size - 1) / 2
    values = [math.exp(-((i - middle) ** 2) / (2 * sigma * sigma)) for i in range(size)]
    total = math.fsum(values)
    if total == 0:  # an even side whose nearest pixels are many sigma away
        raise OptionError(f"sigma={sigma:g} is too small for a size of {size}")
    return tuple(value / total for value in values)


def _gaussian_rows(sigma: float, size: int) -> Rows:
    bell = _bell(sigma, size)
    return tuple(tuple(a * b for b in bell) for a in bell)


def _box(values: Values) -> tuple[Rows, float]:
    height = int(values["height"])
    width = int(values.get("width", height))
    return ((1,) * width,) * height, height * width


def _gaussian(values: Values) -> tuple[Rows, float]:
    sigma = values["sigma"]
    return _gaussian_rows(sigma, _side(values, sigma, "gaussian")), 1


def _laplacian(values: Values, sign: int, family: str) -> tuple[Rows, float]:
    sigma = values["sigma"]
    size = _side(values, sigma, family, least=3)
    middle, square = (size - 1) / 2, sigma * sigma
    rows = []
    for i in range(size):
        radii = [(i - middle) ** 2 + (j - middle) ** 2 for j in range(size)]
        rows.append([(r - 2 * square) / square**2 * math.exp(-r / (2 * square)) for r in radii])
    mean = math.fsum(value for row in rows for value in row) / size**2
    return tuple(tuple(sign * (value - mean) for value in row) for row in rows), 1


def _dog(values: Values) -> tuple[Rows, float]:
    one, two = values["sigma1"], values["sigma2"]
    if one == two:
        raise OptionError(
            f"kernel 'dog': sigma1 and sigma2 are both {one:g}, the difference is 0 everywhere; "
            "give two different widths, such as dog:1,1.6"
        )
    size = _side(values, max(one, two), "dog")
    first, second = (_gaussian_rows(sigma, size) for sigma in (one, two))
    return tuple(
        tuple(a - b for a, b in zip(*pair, strict=True)) for pair in zip(first, second, strict=True)
    ), 1


def _unsharp(values: Values) -> tuple[Rows, float]:
    sigma, amount = values["sigma"], values["amount"]
    rows = [[-amount * value for value in row] for row in _gaussian_rows(sigma, _odd(values))]
    middle = len(rows) // 2
    rows[middle][middle] += 1 + amount
    return tuple(map(tuple, rows)), 1


def _odd(values: Values) -> int:
    size = _side(values, values["sigma"], "unsharp")
    if size % 2 == 0:
        raise OptionError(
            f"kernel 'unsharp': size={size} has no centre pixel; take {size - 1} or {size + 1}"
        )
    return size


def _line(size: int, degrees: float) -> tuple[Rows, float]:
    """A line of ``size`` pixels that weigh 1/size each, one a step along the longer axis."""
    angle = degrees % 180
    upright = 45 < angle < 135
    radians = math.radians(angle)
    # rows run downwards, angles upwards; 12 digits make 45° exactly one row a column
    slope = -round(1 / math.tan(radians) if upright else math.tan(radians), 12)
    even = size % 2 == 0
    across = []
    for i in range(size):
        exact = slope * (i - (size - 1) / 2)
        # the nearest pixel; beside an even line's centre those are half a pixel off
        near = math.floor(abs(exact)) + 0.5 if even else math.floor(abs(exact) + 0.5)
        across.append(math.copysign(near, exact) if slope else 0.0)
    low = min(across)
    places = [int(value - low) for value in across]
    breadth = range(max(places) + 1)
    if upright:
        return tuple(tuple(int(p == place) for p in breadth) for place in places), size
    return tuple(tuple(int(p == place) for place in places) for p in breadth), size


def _motion(values: Values) -> tuple[Rows, float]:
    return _line(int(values["size"]), values["angle"])


def _disk(values: Values) -> tuple[Rows, float]:
    radius = values["radius"]
    reach = range(-int(radius), int(radius) + 1)
    rows = tuple(tuple(int(x * x + y * y <= radius * radius) for x in reach) for y in reach)
    return rows, sum(map(sum, rows))


def _gabor(values: Values) -> tuple[Rows, float]:
    wavelength, gamma = values["wavelength"], values["gamma"]
    # one octave of bandwidth: the width that scikit-image takes by default
    octave = 3 * math.sqrt(math.log(2) / 2) / math.pi
    sigma = values.get("sigma", octave * wavelength)
    theta, psi = math.radians(values["theta"]), math.radians(values["psi"])
    cosine, sine = math.cos(theta), math.sin(theta)
    if "size" in values:
        across = down = (int(values["size"]) - 1) / 2
    else:
        # three sigma along each axis of the turned bell
        along, beside = 3 * sigma, 3 * sigma / gamma
        across = math.ceil(max(abs(along * cosine), abs(beside * sine), 1))
        down = math.ceil(max(abs(beside * cosine), abs(along * sine), 1))
    if 2 * max(across, down) + 1 > MAX_SIDE:
        raise OptionError(
            f"kernel 'gabor': sigma={sigma:g} with gamma={gamma:g} needs more than {MAX_SIDE} "
            "pixels a side; take a smaller sigma, or give size= to cut the tails"
        )
    rows = []
    for i in range(int(2 * down) + 1):
        row = []
        for j in range(int(2 * across) + 1):
            x, y = j - across, i - down
            u, v = x * cosine + y * sine, y * cosine - x * sine
            bell = math.exp(-(u * u + (gamma * v) ** 2) / (2 * sigma * sigma))
            row.append(bell * math.cos(2 * math.pi * u / wavelength + psi))
        rows.append(tuple(row))
    return tuple(rows), 1


# ---------------------------------------------------------------------------------------- table
_SIGMA = Parameter("sigma", 0.01, 1000, required=True)
_BROAD = Parameter("sigma", 0.3, 1000, required=True)
_SIZE = Parameter("size", 1, MAX_SIDE, whole=True)
_LENGTH = Parameter("size", 1, MAX_SIDE, whole=True, default=9)
_GAUSS = "Marr & Hildreth 1980"

_TABLE = (
    Family(
        "box",
        (
            Parameter("height", 1, MAX_SIDE, whole=True, default=3, other="size"),
            Parameter("width", 1, MAX_SIDE, whole=True),
        ),
        _box,
        "blurs: mean of height × width pixels",
        "moving average",
        "box:5",
    ),
    Family(
        "gaussian",
        (_SIGMA, _SIZE),
        _gaussian,
        "blurs by a bell of width sigma, cut off at 4 sigma",
        "normal distribution, sampled at pixel centres",
        "gaussian:sigma=1.4",
    ),
    Family(
        "log",
        (_BROAD, _SIZE),
        lambda values: _laplacian(values, 1, "log"),
        "Laplacian of a Gaussian, negative at the centre",
        _GAUSS,
        "log:sigma=1.4",
    ),
    Family(
        "mexican-hat",
        (_BROAD, _SIZE),
        lambda values: _laplacian(values, -1, "mexican-hat"),
        "blobs: minus the Laplacian of a Gaussian",
        _GAUSS,
        "mexican-hat:sigma=2",
    ),
    Family(
        "dog",
        (
            Parameter("sigma1", 0.01, 1000, required=True),
            Parameter("sigma2", 0.01, 1000, required=True),
            _SIZE,
        ),
        _dog,
        "difference of two Gaussians, the first minus the second",
        _GAUSS,
        "dog:1,1.6",
    ),
    Family(
        "unsharp",
        (_SIGMA, Parameter("amount", 0, 100, default=1), _SIZE),
        _unsharp,
        "sharpens: adds amount times what a Gaussian takes away",
        "unsharp masking, Gonzalez & Woods",
        "unsharp:sigma=2,amount=1.5",
        refused={
            "threshold": "a threshold makes it depend on the picture, which no kernel does; "
            "leave threshold out"
        },
    ),
    Family(
        "motion",
        (_LENGTH, Parameter("angle", -360, 360, default=0)),
        _motion,
        "blurs along a line, its angle in degrees counter-clockwise from the right",
        "moving average",
        "motion:size=15,angle=30",
    ),
    Family(
        "motion-h",
        (_LENGTH,),
        lambda values: _line(int(values["size"]), 0),
        "blurs along rows",
        "moving average",
        "motion-h:15",
    ),
    Family(
        "motion-v",
        (_LENGTH,),
        lambda values: _line(int(values["size"]), 90),
        "blurs along columns",
        "moving average",
        "motion-v:15",
    ),
    Family(
        "disk",
        (Parameter("radius", 0, MAX_SIDE // 2, required=True),),
        _disk,
        "blurs as a lens out of focus: mean of the pixels within radius",
        "circle of confusion",
        "disk:4",
    ),
    Family(
        "gabor",
        (
            Parameter("wavelength", 1, 1000, required=True),
            Parameter("theta", -360, 360, default=0),
            Parameter("sigma", 0.1, 1000),
            Parameter("gamma", 0.01, 100, default=1),
            Parameter("psi", -360, 360, default=0),
            _SIZE,
        ),
        _gabor,
        "stripes of one wavelength under a bell; theta turns them, 0 is upright, in degrees",
        "Gabor 1946; Daugman 1985",
        "gabor:wavelength=8,theta=45",
    ),
)

FAMILIES: dict[str, Family] = {family.name: family for family in _TABLE}
"""All families by name, in the order of the list."""

FAMILY_ALIASES: dict[str, str] = {"mean": "box"}
"""Other names of the same families."""
