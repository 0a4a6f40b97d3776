"""Normalisation in training: statistics of the batch, their record, batches that are split."""

import threading

import numpy as np
import pytest
import reference_nn as loops

from cnntool.nn import parse, trace
from cnntool.nn.layers.normalization import BatchNorm, LocalResponseNorm
from cnntool.nn.run import Run

SHAPES = [(3, 4, 5), (6,)]


def layer_of(text, shape):
    return BatchNorm(trace(parse(text), shape).rows[0])


def tensors_of(rng, channels):
    return {
        "0.batchnorm.weight": rng.standard_normal(channels),
        "0.batchnorm.bias": rng.standard_normal(channels),
        "0.batchnorm.running_mean": rng.standard_normal(channels),
        "0.batchnorm.running_var": rng.uniform(0.5, 2, channels),
    }


def gradients_of(tensors):
    return {name: np.zeros_like(a) for name, a in tensors.items() if "running" not in name}


@pytest.mark.parametrize("shape", SHAPES)
def test_training_uses_and_records_the_batch(shape, rng):
    layer = layer_of("batchnorm eps=0.01 momentum=0.3", shape)
    x, tensors = rng.standard_normal((*shape, 4)), tensors_of(rng, shape[0])
    before = {name: a.copy() for name, a in tensors.items()}
    y, _ = layer.forward(x, Run(tensors=tensors, training=True))
    wanted, means, variances = loops.batch_norm(
        x, tensors["0.batchnorm.weight"], tensors["0.batchnorm.bias"], 0.01
    )
    np.testing.assert_allclose(y, wanted, rtol=1e-10, atol=1e-12)
    for name, fresh in (("running_mean", means), ("running_var", variances)):
        old, new = before[f"0.batchnorm.{name}"], tensors[f"0.batchnorm.{name}"]
        np.testing.assert_allclose(new, 0.7 * old + 0.3 * fresh, rtol=1e-12)


@pytest.mark.parametrize("options", [
    {"training": True, "keeps_statistics": False}, {}, {"input_gradient": True},
], ids=str)  # fmt: skip
def test_other_passes_change_no_record(options, rng):
    layer, tensors = layer_of("batchnorm", (3, 4, 5)), tensors_of(rng, 3)
    before = {name: a.copy() for name, a in tensors.items()}
    layer.forward(rng.standard_normal((3, 4, 5, 2)), Run(tensors=tensors, **options))
    for name, a in tensors.items():
        np.testing.assert_array_equal(a, before[name])


class Meeting:
    """Sums over shards, each in a thread of its own, in their order."""

    def __init__(self, shards):
        self.barrier, self.given = threading.Barrier(shards), [None] * shards

    def of(self, shard):
        def all_reduce(part):
            self.given[shard] = part.copy()
            self.barrier.wait()
            total = sum(self.given[1:], self.given[0])
            self.barrier.wait()
            return total

        return all_reduce


@pytest.mark.parametrize("shape", SHAPES)
def test_shards_see_the_whole_batch(shape, rng):
    layer, tensors = layer_of("batchnorm", shape), tensors_of(rng, shape[0])
    x, grad = rng.standard_normal((2, *shape, 5))
    alone = {name: a.copy() for name, a in tensors.items()}
    whole = Run(tensors=alone, gradients=gradients_of(tensors), training=True)
    y, backward = layer.forward(x, whole)
    grad_x = backward(grad.copy())

    meeting, found = Meeting(2), [None, None]
    cuts = slice(0, 2), slice(2, 5)
    runs = [
        Run(
            tensors=tensors, gradients=gradients_of(tensors), training=True,
            all_reduce=meeting.of(shard), keeps_statistics=shard == 0,
        )
        for shard in range(2)
    ]  # fmt: skip

    def work(shard):
        part, way = layer.forward(np.ascontiguousarray(x[..., cuts[shard]]), runs[shard])
        found[shard] = part, way(np.ascontiguousarray(grad[..., cuts[shard]]))

    threads = [threading.Thread(target=work, args=(shard,)) for shard in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    np.testing.assert_allclose(np.concatenate([y for y, _ in found], -1), y, rtol=1e-10)
    np.testing.assert_allclose(
        np.concatenate([g for _, g in found], -1), grad_x, rtol=1e-9, atol=1e-12
    )
    for name, total in whole.gradients.items():
        parts = runs[0].gradients[name] + runs[1].gradients[name]
        np.testing.assert_allclose(parts, total, rtol=1e-10, atol=1e-12)
    for name, a in alone.items():
        np.testing.assert_allclose(tensors[name], a, rtol=1e-12)


def test_gradients_reuse_the_memory_that_they_get(rng):
    """Also where it has gaps: then the answer is a new array."""
    for layer, x in (
        (layer_of("batchnorm", (3, 4, 5)), rng.standard_normal((3, 4, 5, 2))),
        (
            LocalResponseNorm(trace(parse("lrn 3"), (3, 4, 5)).rows[0]),
            rng.standard_normal((3, 4, 5, 2)),
        ),
    ):
        for grad, shared in ((np.ones_like(x), True), (np.ones((3, 4, 5, 4))[..., ::2], False)):
            run = Run(tensors=tensors_of(rng, 3), training=True)
            _, backward = layer.forward(x, run)
            assert np.shares_memory(backward(grad), grad) == shared
