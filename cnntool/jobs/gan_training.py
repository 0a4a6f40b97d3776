"""``train`` of generators against discriminators: the plan, the session, and what is left."""

# names stay strings: bytes that are no text pass through
from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnntool.backend import Backend
from cnntool.data.dataset import Dataset
from cnntool.errors import ModelFileError, OptionError, SystemFailure
from cnntool.files import quote
from cnntool.images.reading import decode
from cnntool.images.writing import encode
from cnntool.jobs import training_results as results
from cnntool.jobs.training_plan import describe_data, load_pictures
from cnntool.jobs.training_results import Epochs, Outcome
from cnntool.jobs.training_watch import Display, Limits, Watch, watched
from cnntool.models.adversarial import GANS, create_gan
from cnntool.nn.contradictions import Contradiction
from cnntool.nn.gan_spec import PICTURE_CONDITIONS, GanSpec, pairs, parse_gan
from cnntool.nn.network import Network
from cnntool.nn.saved_model import Preprocessing, SavedModel, check
from cnntool.nn.shapes import trace
from cnntool.predict.conditions import context_of
from cnntool.predict.generator import Generator, in_words, samples_of
from cnntool.report.film import film
from cnntool.report.grids import grid, planes_to_pixels
from cnntool.train import checkpoint, run_folder
from cnntool.train.adversarial import AdversarialSession
from cnntool.train.gan_options import GanOptions
from cnntool.train.recipe import GANS as RECIPES

TAKEN = (
    "epochs", "batch_size", "lr", "gan_loss", "d_steps", "label_smoothing", "content", "limit",
    "seed", "size", "fit", "color",
)  # fmt: skip
"""Options that mean something to an adversarial training."""

_COLUMNS, _ROWS = 10, 3  # of a sheet; rows where three pictures stand for one
_TESTED = 1000  # test pictures that are looked at


@dataclass(frozen=True)
class GanPlan:
    """An adversarial training before it begins.

    Attributes:
        options: What it is.
        dataset: What it learns from.
        name: Of its run, for the folder.
        notes: What a person should know.
    """

    options: GanOptions
    dataset: Dataset
    name: str
    notes: tuple[str, ...] = ()


def plan(
    source: str,
    model: str | None,
    *,
    condition: str | None = None,
    latent: int | None = None,
    **given: Any,
) -> GanPlan:
    """Load the data and resolve all options.

    Args:
        source: Name or path of the data set.
        model: A key of :data:`cnntool.models.adversarial.GANS`, or a specification; None takes what
            suits the condition.
        condition: What the generator gets; None takes the model's default.
        latent: Random numbers a picture; None takes the model's.
        **given: Options of :class:`cnntool.train.gan_options.GanOptions` by name; those that are
            None are left to the recipe.

    Raises:
        InputError: The data cannot be used.
        OptionError: Options that make no sense.
        SpecError: The networks do not fit the data.
    """
    asked = {name: value for name, value in given.items() if value not in (None, ())}
    for name in asked:
        if name not in TAKEN:
            word = "--" + name.replace("_", "-")
            raise OptionError(f"{word} means nothing to the training of a generator")
    if model is None:
        model = "translate" if condition in PICTURE_CONDITIONS else "conditional"
    data = load_pictures(source, asked, unlabelled=True)
    if data.segments:
        raise OptionError(
            f"{quote(source)}: every pixel has a class there; generators learn from pictures alone "
            "or in class folders"
        )
    name = model if model in GANS else "custom"
    if name != "custom":
        chosen = condition or GANS[model].conditions[0]
        width = _width(chosen, data)
        spec = create_gan(model, data.shape, width, condition=chosen, latent=latent)
    else:
        if condition is not None or latent is not None:
            raise OptionError("--condition and --latent change built-in models; edit the text")
        spec = parse_gan(model)
        width = _width(spec.condition, data)
    pairs(spec, data.shape, width)  # they must fit
    _check_data(spec, data, asked)
    recipe = RECIPES[name]
    options = GanOptions(
        dataset=source,
        model=name,
        spec=spec.text,
        input=data.shape,
        classes=data.classes,
        width=width,
        **{**recipe, **asked},
    )
    if options.batch_size > len(data.train):
        options = replace(options, batch_size=len(data.train))
    what = spec.condition if spec.of_pictures else name
    return GanPlan(options, data, f"{data.name}-{what}", data.notes)


def _width(condition: str, data: Dataset) -> int:
    """Numbers of a condition."""
    if condition == "vector":
        vectors = data.train.vectors
        if vectors is None:
            raise OptionError(
                f"'{data.name}' has no vectors; an .npz with vectors_train (M, K) beside x_train "
                "has some"
            )
        return int(vectors.shape[1])
    return len(data.classes) if condition == "class" else 0


def _check_data(spec: GanSpec, data: Dataset, asked: Mapping[str, Any]) -> None:
    """Refuse conditions that these pictures cannot be turned into, and what means nothing."""
    if len(data.train) < 2:
        raise OptionError("a generator learns from 2 pictures or more; there is one")
    if asked.get("content") and not (spec.of_pictures or any(s.adds for s in spec.stages)):
        raise OptionError(
            "--content compares a made picture with the true one; this generator gets no picture, "
            "so there is none"
        )
    if spec.of_pictures:
        some = data.train.images[:1].transpose(1, 2, 3, 0).astype(np.float32)
        context_of(spec.condition, some)


def replan(found: checkpoint.Checkpoint[Any, Any], data: Dataset) -> GanPlan:
    """The plan of a training that goes on."""
    return GanPlan(found.options, data, "", data.notes)


def describe(chosen: GanPlan, threads: int, device: str, folder: str) -> dict[str, str]:
    """What is said before a training."""
    options = chosen.options
    spec = parse_gan(options.spec)
    sums = []
    for pair in pairs(spec, chosen.dataset.shape, options.width):
        made, judged = trace(pair.generator, pair.input), trace(pair.discriminator, pair.judged)
        size = "x".join(map(str, pair.stage.size))
        sums.append(f"{size} by {made.params} parameters, judged by {judged.params}")
    stages = len(spec.stages)
    epochs = f"{options.epochs} epoch{'s' if options.epochs > 1 else ''}"
    of_each = f" for each of {stages} stages" if stages > 1 else ""
    where = device if device != "cpu" else f"{threads} core{'s' if threads > 1 else ''}"
    return {
        **describe_data(chosen.dataset),
        "networks": f"{options.model}: {'; '.join(sums)}",
        "pictures": f"of {in_words(spec.condition, options.width, spec.latent)}",
        "training": f"adam, lr {options.lr:g}, batches of {options.batch_size}, {epochs}{of_each}, "
        f"{options.gan_loss} loss, seed {options.seed}, on {where}",
        "run": folder,
    }


def plan_lines(chosen: GanPlan) -> list[str]:
    """What ``--dry-run`` prints."""
    options = chosen.options
    lines = [
        f"{name} = {value}"
        for name, value in options.as_json().items()
        if name not in ("spec", "classes", "input")
    ]
    return [*lines, *options.spec.splitlines()]


def session_of(
    chosen: GanPlan,
    device: Backend,
    threads: int,
    found: checkpoint.Checkpoint[Any, Any] | None = None,
) -> AdversarialSession:
    """The training of a plan, or of a checkpoint.

    Raises:
        ModelFileError: What comes of it could not be saved as a model.
    """
    session = AdversarialSession(
        chosen.options,
        chosen.dataset,
        device=device,
        threads=1 if device.is_gpu else threads,
        checkpoint=found,
    )
    try:
        check(_model(session))  # now, not after hours
    except Contradiction as error:
        raise ModelFileError(f"these networks cannot be saved as a model: {error}") from None
    return session


def train(session: AdversarialSession, folder: str, display: Display, **limits: Any) -> Outcome:
    """Train until the end, and write all files of the run.

    Raises:
        As :func:`cnntool.jobs.training_watch.watched`.
    """
    watch = _GanWatch(session, display, folder, Limits(**limits))
    return watched(watch, lambda: _finish(session, folder))


class _GanWatch(Watch):
    """Writes pictures after every epoch, too."""

    def epoch(self, row: Mapping[str, Any]) -> None:
        """See :class:`cnntool.train.adversarial.GanWatcher`."""
        session = self.session
        assert isinstance(session, AdversarialSession)
        super().epoch(row)
        name = f"epoch-{row['epoch']:03}.png"
        try:
            run_folder.write_sample(self.folder, name, encode(sheet(session, session.shown), "png"))
        except SystemFailure as error:
            self.display.note(f"{error.message}; training goes on without this picture")


def sheet(session: AdversarialSession, pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Made pictures (N, C, H, W) on one sheet, ten in a row: (H', W', 3).

    Of pictures there are fewer, each below what it was made of and above the true one.
    """
    side = max(session.dataset.shape[1:])  # of the last stage: all sheets make one film
    cell = side * max(1, 56 // side)
    if not session.spec.of_pictures:
        return grid(list(map(planes_to_pixels, pictures)), columns=_COLUMNS, cell=cell, gap=4)
    given, true = session.beside()
    chosen = [n * len(pictures) // (_ROWS * _COLUMNS) for n in range(_ROWS * _COLUMNS)]
    shown, captions = [], []
    for first in range(0, len(chosen), _COLUMNS):
        some = chosen[first : first + _COLUMNS]
        for name, rows in (("input", given), ("made", pictures), ("true", true)):
            shown += [planes_to_pixels(rows[n]) for n in some]
            captions += [name, *[""] * (len(some) - 1)]
    return grid(shown, captions=captions, columns=_COLUMNS, cell=cell, gap=4)


def _finish(session: AdversarialSession, folder: str) -> Outcome:
    """Write the model, results and pictures."""
    outcome = Outcome(folder)
    options, progress = session.options, session.progress
    maker = session.sampler()
    begun = progress.epoch > progress.stage * options.epochs or progress.batch > 0
    learned, stages = progress.stage + begun, len(session.pairs)
    if 0 < learned < stages:
        outcome.notes.append(
            f"{learned} of {stages} stages have learned: until the others have, the model's "
            "pictures are noise"
        )
    compared = compare(maker, session.dataset) if session.spec.of_pictures else None
    run = results.facts(
        session.dataset,
        options.as_json(),
        outcome,
        threads=session.threads,
        device=session.device.name,
        parameters=sum(int(network.parameters.size) for network in maker.networks),
        complete=session.finished,
        epochs=progress.history,
        seconds=progress.seconds,
        **({} if compared is None else {"compared": compared}),
    )
    epochs = Epochs(progress.history, session.columns)
    results.write(outcome, _model(session), epochs, run, session.dataset, options.model)
    if progress.history:
        _write_pictures(outcome, session)
    if compared is not None:
        outcome.title = "against the true pictures"
        outcome.details = [
            f"PSNR {compared['psnr']:.2f} dB; what it got had {compared['before']:.2f} dB"
        ]
    return outcome


def _write_pictures(outcome: Outcome, session: AdversarialSession) -> None:
    folder = outcome.folder
    data = encode(sheet(session, session.samples()), "png")
    run_folder.write_picture(folder, run_folder.SAMPLES, data)
    outcome.written.append(os.path.join(folder, run_folder.SAMPLES))
    frames = run_folder.samples(folder)
    if len(frames) > 1:
        pictures = [decode(data).pixels for data in frames]
        run_folder.write_picture(folder, run_folder.FILM, film(pictures))
        outcome.written.append(os.path.join(folder, run_folder.FILM))


def compare(maker: Generator, data: Dataset) -> dict[str, float]:
    """How near pictures that were made of others come to the true ones, in dB.

    Returns:
        ``psnr``, and ``before``: that of what the generator got.

    References:
        PSNR = 10·log10(255² / mean squared difference), mean over pictures.
    """
    part = data.test if data.test is not None else data.train
    chosen = np.arange(min(_TESTED, len(part))) * len(part) // min(_TESTED, len(part))
    images = np.ascontiguousarray(part.images[chosen].transpose(1, 2, 3, 0))
    whole = images.astype(np.float32) / np.float32(127.5) - 1
    context = context_of(maker.generation.condition, whole)
    found = samples_of(maker.pictures(maker.draw(range(len(chosen))), None, context))
    before = np.broadcast_to(samples_of(context), images.shape)
    return {"psnr": psnr(found, images), "before": psnr(before, images)}


def psnr(found: NDArray[np.uint8], true: NDArray[np.uint8]) -> float:
    """Peak signal to noise ratio in dB, the mean over pictures (C, H, W, N).

    Example:
        >>> a = np.zeros((1, 2, 2, 1), np.uint8)
        >>> round(psnr(a + np.uint8(255), a), 2), round(psnr(a + np.uint8(1), a), 2)
        (0.0, 48.13)
    """
    away = (found.astype(np.float64) - true) ** 2
    errors = np.maximum(away.mean(axis=(0, 1, 2)), 1e-10)
    return float((10 * np.log10(255**2 / errors)).mean())


def _model(session: AdversarialSession) -> SavedModel:
    """The generators with the running means of their weights."""
    options, dataset = session.options, session.dataset
    maker = session.sampler()
    missing = [
        session.untrained(number) for number in range(len(maker.networks), len(session.pairs))
    ]
    networks: list[Network] = [*maker.networks, *missing]
    tensors: dict[str, NDArray[Any]] = {}
    for number, network in enumerate(networks, 1):
        start = "" if number == 1 else f"stage{number}/"
        tensors |= {start + name: value for name, value in network.state().items()}
    if maker.embedding is not None:
        tensors |= {f"embed/{name}": value for name, value in maker.embedding.state().items()}
    channels = dataset.shape[0]
    history = results.history(options.dataset, options.seed, None, epochs=session.progress.epoch)
    return SavedModel(
        spec=session.pairs[0].stage.generator,
        input=session.pairs[0].input,
        tensors=tensors,
        task="generate",
        classes=options.classes if session.spec.condition == "class" else (),
        preprocessing=Preprocessing(
            color=dataset.color, mean=(0.5,) * channels, std=(0.5,) * channels
        ),
        generation=session.generation(),
        name=options.model if options.model in GANS else "",
        history=history,
    )
