"""`cnntool train mnist` against a PyTorch script that learns MNIST as well, whole processes.

    python tests/benchmarks/bench_mnist.py [--torch-python PATH] [--threads 2] [--runs 3]

Both train on all 60 000 pictures and test once on the 10 000. PyTorch trains the same network by
the same schedule (good for it too: SGD with Nesterov's momentum and one cycle), from tensors
in memory, without a data loader, in the faster memory format. Times are those of whole processes,
from start to exit, taken in turn; the best of all runs counts. Accuracies are printed for every
seed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def torch_script(pictures: str, threads: int, seed: int, memory_format: str) -> None:
    """The peer: trains, prints its accuracy."""
    import numpy as np
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    layout = getattr(torch, memory_format)
    data = np.load(pictures)
    facts = json.loads(str(data["facts"]))
    x, y, x_test, y_test = (torch.from_numpy(data[name]) for name in ("x", "y", "x_test", "y_test"))
    x, x_test = ((part.float() / 255 - 0.1307) / 0.3081 for part in (x, x_test))
    x, x_test = (part.to(memory_format=layout) for part in (x, x_test))
    layers: list[nn.Module] = []
    channels, side = 1, 28
    for words in (part.split() for part in facts["spec"].replace("\n", "|").split("|")):
        if not words:
            continue
        if words[0] == "conv":
            out, kernel = int(words[1]), int(words[2])
            pad = int(next((w[4:] for w in words if w.startswith("pad=")), 0))
            layers.append(nn.Conv2d(channels, out, kernel, padding=pad))
            channels, side = out, side + 2 * pad - kernel + 1
        elif words[0] == "relu":
            layers.append(nn.ReLU())
        elif words[0] == "maxpool":
            layers.append(nn.MaxPool2d(2))
            side //= 2
        elif words[0] == "flatten":
            layers.append(nn.Flatten())
            channels, side = channels * side * side, 1
        elif words[0] == "dropout":
            layers.append(nn.Dropout(float(words[1])))
        elif words[0] == "dense":
            layers.append(nn.Linear(channels, int(words[1])))
            channels = int(words[1])
        else:
            raise SystemExit(f"the peer does not know {words[0]}")
    net = nn.Sequential(*layers).to(memory_format=layout)
    size, epochs = facts["batch_size"], facts["epochs"]
    steps = epochs * -(-len(x) // size)
    optimiser = torch.optim.SGD(
        net.parameters(), facts["lr"], momentum=0.9, nesterov=True,
        weight_decay=facts["weight_decay"],
    )  # fmt: skip
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, facts["lr"], total_steps=steps, cycle_momentum=False
    )
    loss = nn.CrossEntropyLoss()
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for first in range(0, len(x), size):
            part = order[first : first + size]
            optimiser.zero_grad()
            loss(net(x[part]), y[part]).backward()
            optimiser.step()
            schedule.step()
    net.eval()
    with torch.inference_mode():
        found = torch.cat([net(part).argmax(1) for part in x_test.split(1000)])
    print(float((found == y_test).float().mean()))


def timed(arguments: list[str]) -> tuple[float, str]:
    """Seconds of a process, and what it printed."""
    quiet = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
    environment = {k: v for k, v in os.environ.items() if k not in quiet}
    start = time.perf_counter()
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment, check=True)
    return time.perf_counter() - start, done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch-python", default=sys.executable)
    parser.add_argument("--threads", default="2")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--no-torch", action="store_true")
    parser.add_argument("--peer", nargs=4, metavar="FACT")
    options = parser.parse_args()
    if options.peer:
        pictures, threads, seed, memory_format = options.peer
        torch_script(pictures, int(threads), int(seed), memory_format)
        return
    import numpy as np

    from cnntool.data import mnist
    from cnntool.models import create
    from cnntool.train.recipe import MNIST

    with tempfile.TemporaryDirectory() as folder:
        run = os.path.join(folder, "run")

        def ours(seed: int) -> tuple[float, float]:
            seconds, _ = timed(
                [
                    sys.executable,
                    "-m",
                    "cnntool",
                    "train",
                    "mnist",
                    "-q",
                    "-f",
                    "-o",
                    run,
                    "--threads",
                    options.threads,
                    "--seed",
                    str(seed),
                ]
            )
            facts = json.loads(Path(run, "run.json").read_text())
            return seconds, facts["test"]["accuracy"]

        data = mnist.load()
        pictures = os.path.join(folder, "mnist.npz")
        facts = {**MNIST.options, "spec": create(MNIST.model, 10).text}
        np.savez(
            pictures, x=data.train.images, y=data.train.labels, x_test=data.test.images,
            y_test=data.test.labels, facts=json.dumps(facts),
        )  # fmt: skip

        def theirs(memory_format: str) -> tuple[float, float]:
            seconds, text = timed(
                [
                    options.torch_python,
                    __file__,
                    "--peer",
                    pictures,
                    options.threads,
                    "1",
                    memory_format,
                ]
            )
            return seconds, float(text)

        mine: list[tuple[float, float]] = []
        peers: dict[str, list[tuple[float, float]]] = {"contiguous_format": [], "channels_last": []}
        for number in range(options.runs):
            mine.append(ours(number))
            print(f"cnntool: {mine[-1][0]:.2f} s, {mine[-1][1]:.4f}", flush=True)
            for name, results in peers.items():
                if not options.no_torch:
                    results.append(theirs(name))
                    print(f"torch {name}: {results[-1][0]:.2f} s, {results[-1][1]:.4f}", flush=True)
        accuracies = [accuracy for _, accuracy in mine]
        accuracies += [ours(seed)[1] for seed in range(options.runs, options.seeds)]
        best = min(seconds for seconds, _ in mine)
        print(f"accuracies of seeds 0 to {len(accuracies) - 1}: {sorted(accuracies)}")
        if not options.no_torch:
            other = min(seconds for results in peers.values() for seconds, _ in results)
            print(f"cnntool {best:.2f} s, torch {other:.2f} s: {other / best:.2f}x")


if __name__ == "__main__":
    main()
