"""One step of two networks against each other: a generator makes pictures, a discriminator judges.

A batch is shared out to workers as in :mod:`cnntool.nn.step`. Each makes its pictures once: the
discriminator learns from them, then the generator learns by what the changed discriminator says of
the same pictures. Between the two the workers keep the way back through the generator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from cnntool import ops
from cnntool.backend import Array, array_module
from cnntool.errors import NameNotFound, OptionError
from cnntool.nn.gan_inputs import (
    GanBatch,
    divergence,
    embedded,
    generator_input,
    joined,
    logits_of,
)
from cnntool.nn.gan_spec import hole
from cnntool.nn.layer import Backward
from cnntool.nn.network import Network
from cnntool.nn.optimiser import Optimiser
from cnntool.nn.staging import Staging
from cnntool.nn.teams import Shard
from cnntool.ops.normalization import AllReduce

GAN_LOSSES = ("nonsaturating", "minimax")
"""What the generator makes small: -log D(G(z)), or log(1 - D(G(z))) as the game is written."""

_JUDGE, _MAKE = 0, 1  # what a worker is told to do

_TOLD = ("d_loss", "g_loss", "real", "fake", "content", "kl")


@dataclass(frozen=True, kw_only=True)
class GanLoss:
    """What the two networks make small.

    Attributes:
        kind: One of :data:`GAN_LOSSES`.
        smoothing: How far below 1 the target of real pictures is (one-sided label smoothing).
        content: What the mean squared distance to the true picture counts in the generator's loss;
            0 leaves it to the discriminator alone.
        kl: What the divergence of an embedding's numbers from the normal distribution counts, the
            mean over the numbers.

    References:
        Goodfellow et al. 2014, Generative adversarial nets, algorithm 1 and section 3.
        Salimans et al. 2016, Improved techniques for training GANs, section 3.4 (smoothing).
    """

    kind: str = "nonsaturating"
    smoothing: float = 0.0
    content: float = 0.0
    kl: float = 0.1

    def __post_init__(self) -> None:
        if self.kind not in GAN_LOSSES:
            raise NameNotFound.among("GAN loss", self.kind, GAN_LOSSES)
        if not 0 <= self.smoothing < 1:
            raise OptionError(f"one-sided smoothing is from 0 to below 1, got {self.smoothing}")


class AdversarialStep:
    """Steps of one generator against one discriminator.

    Args:
        generator: Makes pictures.
        discriminator: Judges them.
        embedding: Turns conditions into means and spreads; None if there is none.
        optimisers: Of each of these, by ``generator``, ``discriminator``, ``embedding``.
        loss: What they make small.
        threads: Workers that share every batch; on a GPU it is one.
        seed: Of dropout.
    """

    def __init__(
        self,
        generator: Network,
        discriminator: Network,
        embedding: Network | None,
        optimisers: Mapping[str, Optimiser],
        loss: GanLoss,
        *,
        threads: int = 1,
        seed: int = 0,
    ) -> None:
        self.generator, self.discriminator, self.embedding = generator, discriminator, embedding
        self.optimisers, self.loss, self.seed, self.number = optimisers, loss, seed, 0
        others = [discriminator] if embedding is None else [discriminator, embedding]
        self._team = generator.team(threads, self._work, *others)
        workers = range(self._team.workers)
        self._flat = {
            name: [self._zeros(network) for _ in workers]
            for name, network in (
                ("generator", generator), ("real", discriminator), ("fake", discriminator),
                *([("embedding", embedding)] if embedding is not None else []),
            )
        }  # fmt: skip
        self._told = self._team.empty((self._team.workers, len(_TOLD)), np.float64)
        self._rooms = {
            name: Staging(self._team)
            for name in ("real", "noise", "context", "condition", "given", "chance")
        }
        self._batch: GanBatch | None = None
        self._kept: dict[int, tuple[Array, Backward | None, _Drawn | None]] = {}  # of each worker
        self._reducers: dict[int, AllReduce] = {}  # of each worker, as they are in this phase

    def __enter__(self) -> AdversarialStep:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Send the workers home."""
        self._team.close()

    def judge(self, batch: GanBatch, lr: float) -> dict[str, float]:
        """Let the discriminator learn from real and made pictures.

        Returns:
            ``d_loss``, and the mean answers ``real`` and ``fake``, from 0 to 1.
        """
        found, gradient = self.judging(batch)
        self._update("discriminator", self.discriminator, gradient, lr)
        return found

    def make(self, lr: float) -> dict[str, float]:
        """Let the generator learn from what the discriminator now says of the same pictures.

        Returns:
            ``g_loss``; ``content`` and ``kl``, parts of it that may be 0.
        """
        found, gradients = self.making()
        self._update("generator", self.generator, gradients["generator"], lr)
        if self.embedding is not None:
            self._update("embedding", self.embedding, gradients["embedding"], lr)
        self.number += 1
        return found

    def judging(self, batch: GanBatch) -> tuple[dict[str, float], Array]:
        """What the discriminator says, and the gradient of ``d_loss``, the mean over the batch.

        The gradient's memory is used again by the next call.
        """
        images = self._put(batch)
        self._told[...] = 0
        self._team.run(images, _JUDGE, self.number, self.seed, images)
        total = self._sum("real")
        total += self._sum("fake")
        return self._results(images), total

    def making(self) -> tuple[dict[str, float], dict[str, Array]]:
        """What the generator reaches with the batch that was judged last, and the gradients of it.

        They are those of ``g_loss`` + ``GanLoss.content`` times ``content`` + ``GanLoss.kl`` times
        ``kl``, means over the batch, by the names of the networks.
        """
        assert self._batch is not None, "pictures are judged first"
        images = int(self._batch.real.shape[-1])
        self._told[...] = 0
        self._team.run(images, _MAKE, self.number, self.seed, images)
        names = ("generator",) if self.embedding is None else ("generator", "embedding")
        return self._results(images), {name: self._sum(name) for name in names}

    def _zeros(self, network: Network) -> Array:
        if network.device.is_gpu:
            return network.device.xp.zeros(network.parameters.size, dtype=network.dtype)
        return self._team.empty((network.parameters.size,), network.dtype)

    def _put(self, batch: GanBatch) -> int:
        """Show a batch to all workers; how many pictures it has."""
        self._batch = batch
        if not self.generator.device.is_gpu:
            arrays = {name: getattr(batch, name) for name in self._rooms}
            given = {name: array for name, array in arrays.items() if array is not None}
            if not all(self._rooms[name].holds(array) for name, array in given.items()):
                self._team.close()  # new workers will see the new memory
            for name, array in given.items():
                self._rooms[name].put(array)
        return int(batch.real.shape[-1])

    def _sum(self, name: str) -> Array:
        total = self._flat[name][0]
        for other in self._flat[name][1:]:
            total += other
            other[...] = 0
        return total

    def _update(self, name: str, network: Network, gradient: Array, lr: float) -> None:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            self.optimisers[name].update(network.parameters, gradient, lr)

    def _results(self, images: int) -> dict[str, float]:
        values = self._told.sum(axis=0) / images
        return dict(zip(_TOLD, values.tolist(), strict=True))

    def _work(self, shard: Shard, numbers: tuple[int, ...]) -> float:
        # a training that diverges is told by its loss, not by a warning of every operation
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            phase, number, seed, images = numbers
            if shard.all_reduce is not None:
                self._reducers[shard.number] = shard.all_reduce
            part = _Part(self, shard, number, seed, images)
            if phase == _JUDGE:
                part.judge()
            else:
                part.make()
        return 0.0

    def array(self, name: str, shard: Shard) -> Array | None:
        """A worker's part of one of the arrays of the batch."""
        assert self._batch is not None
        whole = getattr(self._batch, name)
        if whole is None:
            return None
        if not self.generator.device.is_gpu:
            whole = self._rooms[name].array
        return array_module(whole).ascontiguousarray(whole[..., shard.images])


@dataclass(frozen=True, eq=False)
class _Drawn:
    """What an embedding gave, for the way back."""

    means: Array
    logs: Array
    chance: Array
    backward: Backward | None


class _Part:
    """What one worker does with its part of a batch."""

    def __init__(
        self, step: AdversarialStep, shard: Shard, number: int, seed: int, images: int
    ) -> None:
        self.step, self.shard, self.number, self.seed = step, shard, number, seed
        assert step._batch is not None
        # of the batch that a worker knew when it was forked only what never changes is looked at
        self.batch, self.images = step._batch, images
        self.context = step.array("context", shard)
        self.condition = step.array("condition", shard)

    def judge(self) -> None:
        """Gradients of the discriminator; the pictures are kept."""
        step, loss = self.step, self.step.loss
        fake, backward, drawn = self._made()
        step._kept[self.shard.number] = fake, backward, drawn
        real = step.array("real", self.shard)
        assert real is not None
        told = step._told[self.shard.number]
        for name, pictures, target in (("real", real, 1 - loss.smoothing), ("fake", fake, 0.0)):
            answers, back = self._answers(pictures, name)
            logits = logits_of(answers, self.condition)
            xp = array_module(logits)
            value, value_back = ops.binary_cross_entropy_with_logits_vjp(
                logits, xp.full_like(logits, target), divisor=float(self.images)
            )
            told[_TOLD.index("d_loss")] += float(value) * self.images
            told[_TOLD.index(name)] += float(ops.sigmoid(logits).sum())
            if back is not None:
                back(self._spread(answers, value_back()))

    def make(self) -> None:
        """Gradients of the generator, and of an embedding before it."""
        step, loss = self.step, self.step.loss
        fake, backward, drawn = step._kept.pop(self.shard.number)
        told = step._told[self.shard.number]
        answers, back = self._answers(fake, None)
        logits = logits_of(answers, self.condition)
        xp = array_module(logits)
        # minimax: log(1 - D) made small is -log(1 - D) made large
        sign, target = (1.0, 1.0) if loss.kind == "nonsaturating" else (-1.0, 0.0)
        value, value_back = ops.binary_cross_entropy_with_logits_vjp(
            logits, xp.full_like(logits, target), divisor=float(self.images)
        )
        told[_TOLD.index("g_loss")] += sign * float(value) * self.images
        assert back is not None
        grad = back(self._spread(answers, value_back(sign)))
        assert grad is not None
        grad = grad[: fake.shape[0]]
        if loss.content:
            real = step.array("real", self.shard)
            away = fake - real
            each = fake[..., 0].size * self.images
            told[_TOLD.index("content")] += float((away * away).sum()) / fake[..., 0].size
            grad = grad + away * (2 * loss.content / each)
        if backward is None:
            return
        if self.batch.joins == "fills":
            middle = hole(*grad.shape[1:3])
            within = xp.zeros_like(grad)
            within[:, middle[0], middle[1]] = grad[:, middle[0], middle[1]]
            grad = within
        into = backward(xp.ascontiguousarray(grad))
        if drawn is not None and into is not None:
            self._back_to_embedding(into, drawn, told)

    def _made(self) -> tuple[Array, Backward | None, _Drawn | None]:
        """Pictures, with the ways back."""
        step, drawn = self.step, None
        given = step.array("given", self.shard)
        numbers = self.condition if given is None else given
        if step.embedding is not None:
            assert numbers is not None
            said, back = step.embedding.forward(numbers, self._run(step.embedding, "embedding"))
            chance = step.array("chance", self.shard)
            numbers, means, logs = embedded(said, chance)
            drawn = _Drawn(means, logs, chance, back)
        x = generator_input(step.array("noise", self.shard), self.context, numbers)
        run = self._run(step.generator, "generator", input_gradient=step.embedding is not None)
        fake, backward = step.generator.forward(x.astype(step.generator.dtype, copy=False), run)
        return joined(fake, self.context, self.batch.joins), backward, drawn

    def _answers(self, pictures: Array, name: str | None) -> tuple[Array, Backward | None]:
        """What the discriminator says; without a name its own gradients are not wanted."""
        network = self.step.discriminator
        if self.batch.judged and self.context is not None:
            pictures = array_module(pictures).concatenate([pictures, self.context])
        run = self._run(network, name, input_gradient=name is None)
        return network.forward(pictures, run, logits=True)

    def _run(self, network: Network, name: str | None, input_gradient: bool = False):  # type: ignore[no-untyped-def]
        gradients = None
        if name is not None:
            gradients = network.views(self.step._flat[name][self.shard.number])
        return network.run(
            gradients=gradients,
            training=True,
            input_gradient=input_gradient,
            seed=self.seed,
            step=self.number,
            offset=self.shard.images.start,
            all_reduce=None if self.shard.all_reduce is None else self._all_reduce,
            threads=self.shard.threads,
            keeps_statistics=self.shard.number == 0 and name in ("generator", "real", "embedding"),
        )

    def _all_reduce(self, array: Array) -> Array:
        """Sums of this phase: the way back of a picture that was judged is gone in the next one."""
        return self.step._reducers[self.shard.number](array)

    def _spread(self, answers: Array, grad: Array) -> Array:
        """The gradient of all answers from that of the logits."""
        found = array_module(answers).empty(answers.shape, dtype=answers.dtype)
        found[-1] = grad
        if self.condition is not None:
            found[:-1] = grad * self.condition
        return found

    def _back_to_embedding(self, into: Array, drawn: _Drawn, told: Array) -> None:
        """The gradient of the embedding: of what the generator got, and of the divergence."""
        xp, half = array_module(into), len(drawn.means)
        own = into[-half:]
        if own.ndim > 2:  # numbers that were spread over maps
            own = own.sum(axis=(1, 2))
        share = self.step.loss.kl / (self.images * half)
        told[_TOLD.index("kl")] += float(divergence(drawn.means, drawn.logs)) / half
        spreads = xp.exp(drawn.logs)
        grad = xp.concatenate(
            [
                own + share * drawn.means,
                own * spreads * drawn.chance + share * (spreads * spreads - 1),
            ]
        )
        if drawn.backward is not None:
            drawn.backward(grad.astype(into.dtype, copy=False))
