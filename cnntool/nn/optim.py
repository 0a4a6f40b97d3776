"""The optimisers, by name. Formulas and defaults are those of torch.optim.

They keep to the contract of :class:`cnntool.nn.optimiser.Optimiser`: one flat array of parameters,
one of gradients, a step in place.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from math import sqrt
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from cnntool.backend import Array
from cnntool.errors import NameNotFound, OptionError
from cnntool.nn.optimiser import Optimiser, check_range


class Sgd(Optimiser):
    """Stochastic gradient descent: v = momentum·v + g, p -= lr·v.

    Args:
        size: As for :class:`Optimiser`, like ``xp``, ``dtype``, ``weight_decay``, ``decaying``.
        xp: Array library.
        dtype: Type of numbers.
        momentum: Share of the last step that goes on, from 0 to below 1.
        nesterov: Look ahead: p -= lr·(g + momentum·v). It needs a momentum.
        weight_decay: Added to the gradient, times the parameters.
        decaying: What decays.

    References:
        Sutskever et al. 2013, On the importance of initialization and momentum in deep learning;
        the rate multiplies v here, as in torch, not g.

    Example:
        >>> p, sgd = np.array([1.0]), Sgd(1, dtype=np.float64, momentum=0.5)
        >>> for _ in range(2):
        ...     sgd.update(p, np.array([1.0]), lr=0.1)
        >>> p.round(6).tolist()  # 1 - 0.1·1 - 0.1·(0.5 + 1)
        [0.75]
    """

    name = "sgd"
    summary = "stochastic gradient descent, with momentum, Nesterov's too"

    def __init__(
        self,
        size: int,
        xp: Any = np,
        dtype: Any = np.float32,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        decaying: Sequence[slice] | None = None,
    ) -> None:
        super().__init__(size, xp, dtype, weight_decay=weight_decay, decaying=decaying)
        check_range("momentum", momentum, below=1)
        if nesterov and not momentum:
            raise OptionError("nesterov needs a momentum above 0, such as 0.9")
        self.momentum, self.nesterov = float(momentum), nesterov
        self._buffers = {"momentum_buffer": xp.zeros(size, dtype=dtype)} if momentum else {}

    @property
    def buffers(self) -> Mapping[str, Array]:
        """Velocities, where there is a momentum."""
        return self._buffers

    def _move(self, p: Array, g: Array, place: slice, decays: list[slice]) -> None:
        xp, scratch = self.xp, self._scratch[: len(p)]
        self._decay_gradients(p, g, decays)
        if not self.momentum:
            g *= self._lr
            p -= g
            return
        v = self._buffers["momentum_buffer"][place]
        v *= self.momentum
        v += g
        if self.nesterov:
            g += xp.multiply(v, self.momentum, out=scratch)
        else:
            g = v
        p -= xp.multiply(g, self._lr, out=scratch)


class Adam(Optimiser):
    """Steps as long as a gradient is steady: p -= lr·m / (√v + eps).

    m is the running mean of the gradients and v that of their squares, both divided by
    1 - beta^step, because they begin at 0. Weight decay is added to the gradients, so v scales it
    as well.

    Args:
        size: As for :class:`Optimiser`, like ``xp``, ``dtype``, ``weight_decay``, ``decaying``.
        xp: Array library.
        dtype: Type of numbers.
        betas: Shares of the last means of gradients and of squares that go on, from 0 to below 1.
        eps: Added to √v, so that nothing is divided by 0; > 0.
        weight_decay: Added to the gradient, times the parameters.
        decaying: What decays.

    References:
        Kingma, Ba 2015, Adam: a method for stochastic optimization, algorithm 1.

    Example:
        >>> p, adam = np.array([1.0, 1.0]), Adam(2, dtype=np.float64)
        >>> adam.update(p, np.array([1e-3, 1e3]), lr=0.1)  # the first step has the length of lr
        >>> p.round(4).tolist()
        [0.9, 0.9]
    """

    name = "adam"
    summary = "steps scaled by running means of squared gradients"
    decoupled: ClassVar[bool] = False

    def __init__(
        self,
        size: int,
        xp: Any = np,
        dtype: Any = np.float32,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decaying: Sequence[slice] | None = None,
    ) -> None:
        super().__init__(size, xp, dtype, weight_decay=weight_decay, decaying=decaying)
        if len(betas) != 2:
            raise OptionError(f"betas are two numbers such as 0.9, 0.999; got {len(betas)}")
        for beta in betas:
            check_range("betas", beta, below=1)
        check_range("eps", eps, above=0)
        self.betas, self.eps = (float(betas[0]), float(betas[1])), float(eps)
        self._buffers = {name: xp.zeros(size, dtype=dtype) for name in ("exp_avg", "exp_avg_sq")}

    @property
    def buffers(self) -> Mapping[str, Array]:
        """Running means of gradients and of their squares, not yet corrected."""
        return self._buffers

    def _prepare(self, lr: float) -> None:
        super()._prepare(lr)
        first, second = (1 - beta**self.step for beta in self.betas)
        # lr·(m/first) / (√(v/second) + eps), its numbers drawn together
        self._rate = lr * sqrt(second) / first
        self._floor = self.eps * sqrt(second)

    def _move(self, p: Array, g: Array, place: slice, decays: list[slice]) -> None:
        xp, scratch, (first, second) = self.xp, self._scratch[: len(p)], self.betas
        m, v = (self._buffers[name][place] for name in ("exp_avg", "exp_avg_sq"))
        if not self.decoupled:
            self._decay_gradients(p, g, decays)
        elif self.weight_decay:
            for part in decays:
                p[part] *= 1 - self._lr * self.weight_decay
        # m += (1 - first)·(g - m)
        xp.subtract(g, m, out=scratch)
        scratch *= 1 - first
        m += scratch
        # v = second·v + (1 - second)·g²
        g *= g
        g *= 1 - second
        v *= second
        v += g
        xp.sqrt(v, out=scratch)
        scratch += self._floor
        xp.divide(m, scratch, out=scratch)
        scratch *= self._rate
        p -= scratch


class AdamW(Adam):
    """Adam whose weight decay keeps out of the means: p -= lr·weight_decay·p, then Adam's step.

    Args:
        size: As for :class:`Adam`, like all others.
        xp: Array library.
        dtype: Type of numbers.
        betas: Shares of the last means that go on.
        eps: Added to √v.
        weight_decay: Share of the parameters that is taken off, times the rate.
        decaying: What decays.

    References:
        Loshchilov, Hutter 2019, Decoupled weight decay regularization, algorithm 2.

    Example:
        >>> p, adamw = np.array([2.0]), AdamW(1, dtype=np.float64, weight_decay=0.5)
        >>> adamw.update(p, np.array([0.0]), lr=0.1)  # 2 - 0.1·0.5·2
        >>> p.round(6).tolist()
        [1.9]
    """

    name = "adamw"
    summary = "adam with weight decay beside its means"
    decoupled = True

    def __init__(
        self,
        size: int,
        xp: Any = np,
        dtype: Any = np.float32,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        decaying: Sequence[slice] | None = None,
    ) -> None:
        super().__init__(
            size, xp, dtype, betas=betas, eps=eps, weight_decay=weight_decay, decaying=decaying
        )


OPTIMISERS: Mapping[str, type[Optimiser]] = MappingProxyType(
    {kind.name: kind for kind in (Sgd, Adam, AdamW)}
)
"""Name -> class."""


def defaults(name: str) -> dict[str, Any]:
    """Options of an optimiser and their defaults.

    Raises:
        NameNotFound: There is no such optimiser.

    Example:
        >>> defaults("adamw")
        {'betas': (0.9, 0.999), 'eps': 1e-08, 'weight_decay': 0.01}
    """
    if name not in OPTIMISERS:
        raise NameNotFound.among("optimiser", name, OPTIMISERS)
    parameters = inspect.signature(OPTIMISERS[name]).parameters.values()
    return {
        parameter.name: parameter.default
        for parameter in parameters
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.name != "decaying"
    }


def create(
    name: str,
    size: int,
    xp: Any = np,
    dtype: Any = np.float32,
    *,
    decaying: Sequence[slice] | None = None,
    **options: Any,
) -> Optimiser:
    """An optimiser by its name.

    Args:
        name: A key of :data:`OPTIMISERS`.
        size: How many parameters there are.
        xp: NumPy or CuPy.
        dtype: float32 or float64.
        decaying: Slices that decay, see :class:`Optimiser`.
        **options: Some of :func:`defaults`.

    Raises:
        NameNotFound: There is no such optimiser, or it has no such option.
        OptionError: An option is out of range.

    Example:
        >>> create("sgd", 10, momentum=0.9).momentum
        0.9
    """
    known = defaults(name)
    for option in options:
        if option not in known:
            raise NameNotFound.among(f"option of {name}", option, known)
    return OPTIMISERS[name](size, xp, dtype, decaying=decaying, **options)
