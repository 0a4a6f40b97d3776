"""Trainings of generators against discriminators, stage after stage.

As :mod:`cnntool.train.session` it shows nothing and writes nothing. What is drawn in a step follows
from the seed and the number of the step, so a training that is continued draws what one that was
never stopped draws.

The weights that are kept are running means over the generator's steps: single steps throw it to and
fro, and means of them make better pictures (Yazici et al. 2019, The unusual effectiveness of
averaging in GAN training).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cnntool.backend import Backend
from cnntool.data.dataset import Dataset
from cnntool.errors import Diverged, ModelFileError
from cnntool.nn import optim, parse
from cnntool.nn.adversarial import AdversarialStep, GanLoss
from cnntool.nn.gan_inputs import GanBatch
from cnntool.nn.gan_spec import GanSpec, Pair, pairs, parse_gan
from cnntool.nn.generation import Generation, Maker
from cnntool.nn.network import Network
from cnntool.predict.conditions import context_of
from cnntool.predict.generator import Generator, samples_of
from cnntool.train.checkpoint import Checkpoint
from cnntool.train.gan_batches import GanBatches, Pictures
from cnntool.train.gan_health import complaints, spread, wins
from cnntool.train.gan_options import GAN_ROW_NAMES, GanOptions, GanProgress
from cnntool.train.session import HOPELESS

MEMORY = 0.999
"""Share of the running mean that goes on at each step, after the first ones."""

SHOWN = 100
"""Pictures of fixed random numbers that are made after every epoch."""

_INIT = "torch"  # narrower than he: answers begin near 1/2


class GanWatcher(Protocol):
    """What wants to know how a training goes."""

    def step(self, loss: float, images: int, lr: float) -> None:
        """A step is done."""

    def epoch(self, row: Mapping[str, Any]) -> None:
        """An epoch is done."""

    def warn(self, text: str) -> None:
        """Something has gone wrong that numbers tell of."""

    def stop(self) -> bool:
        """Whether to stop now."""


class AdversarialSession:
    """An adversarial training.

    Args:
        options: What it is.
        dataset: What it learns from.
        device: Where.
        threads: Workers that share batches.
        checkpoint: What to go on from; None begins anew.

    Raises:
        SpecError: The networks do not fit the data.
        ModelFileError: The checkpoint does not fit the networks.
    """

    def __init__(
        self,
        options: GanOptions,
        dataset: Dataset,
        *,
        device: Backend,
        threads: int = 1,
        checkpoint: Checkpoint[GanOptions, GanProgress] | None = None,
    ) -> None:
        self.options, self.dataset, self.threads, self.device = options, dataset, threads, device
        self.spec: GanSpec = parse_gan(options.spec)
        channels, height, width = dataset.shape
        self.pairs: list[Pair] = pairs(self.spec, (channels, height, width), options.width)
        self.progress = GanProgress()
        self._data = GanBatches(self.spec, self.pairs, options, dataset, device)
        self.batches = len(self._data)
        self.finished_generators: list[Network] = []
        self._embedding: Network | None = None
        self._real_variety = 0.0
        self.shown: NDArray[np.uint8] = np.zeros((0, *dataset.shape), np.uint8)
        kept: Mapping[str, NDArray[Any]] = {}
        state: Mapping[str, NDArray[Any]] = {}
        if checkpoint is not None:
            progress = checkpoint.progress
            self.progress = replace(
                progress, history=[dict(row) for row in progress.history], sums=dict(progress.sums)
            )
            kept, state = checkpoint.weights, checkpoint.optimiser
            if self.progress.stage >= len(self.pairs):
                raise ModelFileError("the checkpoint has more stages than its networks")
            if self.progress.batch > self.batches:
                raise ModelFileError("the checkpoint has more batches in an epoch than the data")
        self._begin_stage(kept, state)

    def __enter__(self) -> AdversarialSession:
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
        self._step.close()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of ``metrics.csv``: those that mean something here."""
        idle = {
            "stage": len(self.pairs) == 1,
            "content": not self.options.content,
            "kl": not self.spec.embed,
        }
        return tuple(name for name in GAN_ROW_NAMES if not idle.get(name))

    @property
    def epochs(self) -> int:
        """Epochs of all stages together."""
        return self.options.epochs * len(self.pairs)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return self.progress.epoch >= self.epochs

    def _begin_stage(
        self, kept: Mapping[str, NDArray[Any]], state: Mapping[str, NDArray[Any]]
    ) -> None:
        """Make the networks of a stage, with their weights if there are any."""
        stage = self.progress.stage
        options, seed = self.options, self.options.seed
        while len(self.finished_generators) < stage:
            number = len(self.finished_generators)
            done = self._network(self.pairs[number].generator, self.pairs[number].input)
            done.load(_under(kept, f"stage{number + 1}/"))
            self.finished_generators.append(done)
        pair = self.pairs[stage]
        self.generator = self._network(pair.generator, pair.input)
        self.discriminator = self._network(pair.discriminator, pair.judged)
        self.generator.initialise(seed + 2 * stage, _INIT)
        self.discriminator.initialise(seed + 2 * stage + 1, _INIT)
        networks = {"generator": self.generator, "discriminator": self.discriminator}
        learns = self.spec.embed > 0 and stage == 0
        if self.spec.embed and self._embedding is None:
            self._embedding = self._network(parse(embedding_text(self.spec)), (options.width,))
            self._embedding.initialise(seed, _INIT)
        if self._embedding is not None:
            networks["embedding"] = self._embedding
        for name, network in networks.items():
            if kept:
                network.load(_under(kept, f"{name}/"))
        xp, kind = self.device.xp, self.generator.dtype
        optimisers = {
            name: optim.create("adam", network.parameters.size, xp, kind, betas=(0.5, 0.999))
            for name, network in networks.items()
        }
        for name, optimiser in optimisers.items():
            if kept:
                own = _under(state, f"{name}/")
                optimiser.load_state({key: xp.asarray(value) for key, value in own.items()})
        loss = GanLoss(
            kind=options.gan_loss,
            smoothing=options.label_smoothing,
            # without a picture that is made larger or mended there is no true one
            content=options.content if pair.context else 0.0,
        )
        self._step = AdversarialStep(
            self.generator,
            self.discriminator,
            self._embedding if learns else None,
            optimisers,
            loss,
            threads=self.threads,
            seed=seed,
        )
        self._step.number = self.progress.step
        self._mean = xp.array(self.generator.parameters)
        if kept:
            mean = kept.get("mean/parameters")
            if mean is None or mean.shape != self._mean.shape:
                raise ModelFileError("the checkpoint lacks the running mean of its generator")
            self._mean[...] = xp.asarray(mean)
        self._steps_of_stage = self.progress.step - stage * options.epochs * self.batches

    def _network(self, chain: Any, input: tuple[int, ...]) -> Network:
        return Network(chain, input, device=self.device)

    def run(self, watcher: GanWatcher, *, until: int | None = None) -> bool:
        """Go on to the end.

        Args:
            watcher: Is told of every step and epoch, and may stop the training.
            until: Stop when so many epochs, over all stages, are complete.

        Returns:
            False if it was stopped before.

        Raises:
            Diverged: Numbers are no longer finite.
        """
        last = self.epochs if until is None else min(until, self.epochs)
        while self.progress.epoch < last:
            if not self._steps(watcher):
                return False
            self._close_epoch(watcher)
            if watcher.stop():
                return self.progress.epoch >= last
        return True

    def _steps(self, watcher: GanWatcher) -> bool:
        """The steps of an epoch that are still to be made; False if it was stopped among them."""
        progress, options = self.progress, self.options
        began = time.perf_counter()
        # the order of an epoch is that of its number over all stages
        for pictures in self._data.epoch(progress.epoch, progress.batch):
            values: dict[str, float] = {}
            for turn in range(options.d_steps):
                some = self._data.others(progress.step, turn) if turn else pictures
                values = self._step.judge(self._batch(some, turn), options.lr)
            made = self._step.make(options.lr)
            values |= {name: made[name] for name in ("g_loss", "content", "kl")}
            self._average()
            images = int(pictures[1].shape[-1])
            # beyond that it never comes back, long before numbers are infinite
            if not all(abs(value) < HOPELESS for value in values.values()):
                raise Diverged(
                    f"training diverged in epoch {progress.epoch + 1}, step {progress.step + 1}: "
                    f"losses {values['d_loss']:g} and {values['g_loss']:g}; take a smaller --lr"
                )
            progress.count(values, images)
            now = time.perf_counter()
            progress.seconds += now - began
            progress.epoch_seconds += now - began
            began = now
            watcher.step(values["d_loss"], images, options.lr)
            if watcher.stop() and progress.batch < self.batches:
                return False
        return True

    def _batch(self, pictures: Pictures, turn: int) -> GanBatch:
        """What a turn of the discriminator learns from, and then the generator."""
        before = self.finished_generators
        return self._data.batch(
            pictures,
            stage=self.progress.stage,
            step=self.progress.step,
            turn=turn,
            embedding=self._embedding,
            earlier=self._as_generator(before) if before else None,
        )

    def _average(self) -> None:
        """Take the generator's weights into the running mean."""
        self._steps_of_stage += 1
        fresh = max(1 - MEMORY, 1 / (1 + self._steps_of_stage / 10))
        self._mean += (self.generator.parameters - self._mean) * np.float32(fresh)

    def _as_generator(self, networks: list[Network]) -> Generator:
        joins = tuple(self._data.joins(number) for number in range(len(networks)))
        return Generator(
            tuple(networks), joins, self.generation(len(networks)), self._embedding,
            self.dataset.classes,
        )  # fmt: skip

    def generation(self, stages: int | None = None) -> Generation:
        """How pictures are made, with some of the stages."""
        count = len(self.pairs) if stages is None else stages
        later = tuple(
            Maker(pair.stage.generator, pair.input, self._data.joins(number))
            for number, pair in enumerate(self.pairs[1:count], 1)
        )
        return Generation(
            condition=self.spec.condition,
            width=self.options.width,
            latent=self.spec.latent,
            embed=self.spec.embed,
            embedding=embedding_text(self.spec) if self.spec.embed else "",
            joins=self._data.joins(0),
            later=later,
        )

    def untrained(self, number: int) -> Network:
        """The generator of a stage whose turn has not come."""
        network = self._network(self.pairs[number].generator, self.pairs[number].input)
        network.initialise(self.options.seed + 2 * number, _INIT)
        return network

    def sampler(self) -> Generator:
        """All stages so far, the last one with its running mean; it must not be trained."""
        pair = self.pairs[self.progress.stage]
        network = self._network(pair.generator, pair.input)
        network.load(self._mean_state())
        return self._as_generator([*self.finished_generators, network])

    def _mean_state(self) -> dict[str, NDArray[Any]]:
        """Weights of the running mean, with the statistics of the generator as it is."""
        state = self.generator.state()
        means = self.generator.views(self._mean)
        return state | {name: np.array(self.device.to_host(x)) for name, x in means.items()}

    def samples(self) -> NDArray[np.uint8]:
        """Pictures of the same random numbers at any time: (SHOWN, C, H, W).

        Of classes each has its share, one after another; of pictures they are made of some of the
        test's, or if there are none of the training's.
        """
        maker = self.sampler()
        drawn = maker.draw(range(SHOWN))
        numbers = [n * len(self.dataset.classes) // SHOWN for n in range(SHOWN)]
        if self._data.vectors is not None:
            numbers = [n * len(self._data.vectors) // SHOWN for n in range(SHOWN)]
        condition, context = self._data.condition(np.array(numbers)), None
        if self.spec.of_pictures:
            context = context_of(self.spec.condition, self._shown_pictures())
        return samples_of(maker.pictures(drawn, condition, context)).transpose(3, 0, 1, 2)

    def beside(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """What :meth:`samples` of pictures are made of, and the true pictures.

        Shape:
            (SHOWN, C', H, W) and (SHOWN, C, H, W).
        """
        true = self._shown_pictures()
        context = context_of(self.spec.condition, true)
        given, wanted = (samples_of(x).transpose(3, 0, 1, 2) for x in (context, true))
        return given, wanted

    def _shown_pictures(self) -> NDArray[np.float32]:
        part = self.dataset.train
        if self.spec.of_pictures and self.dataset.test is not None:
            part = self.dataset.test
        chosen = np.arange(SHOWN) * len(part) // SHOWN
        x = part.images[chosen].transpose(1, 2, 3, 0)
        return np.ascontiguousarray(x).astype(np.float32) / np.float32(127.5) - 1

    def _close_epoch(self, watcher: GanWatcher) -> None:
        progress, options = self.progress, self.options
        began = time.perf_counter()
        means = {name: total / progress.seen for name, total in progress.sums.items()}
        pictures = self.samples()
        self.shown = pictures
        variety = self._variety(pictures)
        speed = progress.seen / max(progress.epoch_seconds, 1e-9)
        progress.seconds += time.perf_counter() - began
        row: dict[str, Any] = {
            "epoch": progress.epoch + 1,
            "stage": progress.stage + 1,
            **means,
            "variety": variety,
            "lr": options.lr,
            "images_per_second": speed,
            "seconds": progress.seconds,
        }
        row = {name: row[name] for name in self.columns}
        progress.close_epoch(row)
        progress.won = progress.won + 1 if wins(row, options.label_smoothing) else 0
        for text in complaints(row, progress.won, of_pictures=self.spec.of_pictures):
            watcher.warn(text)
        if progress.epoch == (progress.stage + 1) * options.epochs < self.epochs:
            self._end_stage()
        watcher.epoch(row)

    def _end_stage(self) -> None:
        """Keep the running mean as the stage's generator; begin the next stage."""
        stage = self.progress.stage
        done = self._network(self.pairs[stage].generator, self.pairs[stage].input)
        done.load(self._mean_state())
        self.progress.stage += 1
        self.progress.won = 0
        self.finished_generators.append(done)
        self._step.close()
        self._begin_stage({}, {})

    def _variety(self, pictures: NDArray[np.uint8]) -> float:
        """How much pictures differ from each other, as a share of how much real ones do."""
        if not self._real_variety:
            real = samples_of(self._shown_pictures())
            self._real_variety = spread(real.transpose(3, 0, 1, 2))
        found = spread(pictures)
        return found / max(self._real_variety, 1e-9)

    def checkpoint(self, facts: Mapping[str, str]) -> Checkpoint[GanOptions, GanProgress]:
        """The training as it is now; later steps do not change it.

        Raises:
            Diverged: Weights are not finite.
        """
        weights: dict[str, NDArray[Any]] = {}
        for number, network in enumerate(self.finished_generators, 1):
            weights |= _over(f"stage{number}/", network.state())
        optimiser: dict[str, NDArray[Any]] = {}
        networks = {"generator": self.generator, "discriminator": self.discriminator}
        weights["mean/parameters"] = np.array(self.device.to_host(self._mean))
        for name, network in networks.items():
            weights |= _over(f"{name}/", network.state())
        for name, one in self._step.optimisers.items():
            state = {key: np.array(self.device.to_host(x)) for key, x in one.state().items()}
            optimiser |= _over(f"{name}/", state)
        if self._embedding is not None:
            weights |= _over("embedding/", self._embedding.state())
        progress = replace(
            self.progress,
            history=list(self.progress.history),
            sums=dict(self.progress.sums),
        )
        return Checkpoint(self.options, progress, weights, optimiser, {}, dict(facts))


def embedding_text(spec: GanSpec) -> str:
    """The network that turns a condition into means and logarithms of spreads."""
    return f"dense {2 * spec.embed}"


def _under(values: Mapping[str, NDArray[Any]], start: str) -> dict[str, NDArray[Any]]:
    """Those whose names begin so, without that."""
    return {
        name.removeprefix(start): value for name, value in values.items() if name.startswith(start)
    }


def _over(start: str, values: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {start + name: value for name, value in values.items()}
