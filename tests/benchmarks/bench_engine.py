"""Training and prediction of small networks, against PyTorch on the same CPU, in one run.

    pip install torch            # anywhere; the path of that Python is enough
    python tests/benchmarks/bench_engine.py [--torch-python PATH] [--threads 2] [--rounds 20] [NET…]

Each library computes in a process of its own that waits while the other computes, so neither
disturbs the other; they take turns, and the best of all rounds counts. PyTorch runs in both memory
formats, the faster one counts. Ratios above 1 mean that cnntool is faster.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable

NETS = {"lenet5": 128, "vgg-small": 64, "resnet18": 1}
INPUTS = {"lenet5": (1, 28, 28), "vgg-small": (3, 32, 32), "resnet18": (3, 224, 224)}
TASKS = (
    ("lenet5", "train"), ("lenet5", "predict"), ("vgg-small", "train"), ("vgg-small", "predict"),
    ("resnet18", "predict"),
)  # fmt: skip
GOALS = {
    ("lenet5", "train"): 1.2,
    ("lenet5", "predict"): 1.0,
    ("vgg-small", "train"): 1.0,
    ("vgg-small", "predict"): 1.0,
    ("resnet18", "predict"): 0.6,
}
FORMATS = ("contiguous_format", "channels_last")


def ours(net: str, task: str, threads: int, _: str) -> Callable[[], object]:
    """One step of cnntool."""
    import numpy as np

    from cnntool import models
    from cnntool.nn import optim
    from cnntool.nn.network import Network
    from cnntool.nn.predictor import Predictor
    from cnntool.nn.step import TrainingStep

    shape, batch = INPUTS[net], NETS[net]
    network = Network(models.create(net).chain, shape)
    network.initialise(seed=1)
    rng = np.random.default_rng(0)
    x = rng.random((*shape, batch), dtype=np.float32)
    if task == "predict":
        predict = Predictor(network, threads=threads)
        return lambda: predict(x)
    labels = rng.integers(0, network.output[0], batch)
    optimiser = optim.create("sgd", network.parameters.size, momentum=0.9)
    step = TrainingStep(network, optimiser, threads=threads)
    return lambda: step(x, labels, 0.01)


def torch_net(net: str):
    """The same networks in PyTorch."""
    from torch import nn

    if net == "lenet5":
        return nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        )  # fmt: skip
    if net == "vgg-small":
        layers: list[nn.Module] = []
        channels = 3
        for width in (32, 64, 128):
            for _ in range(2):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 16, 10))

    class Block(nn.Module):
        """Two 3x3 convolutions and what they add to."""

        def __init__(self, width: int, out: int, stride: int) -> None:
            super().__init__()
            self.main = nn.Sequential(
                nn.Conv2d(width, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out),
                nn.ReLU(inplace=True), nn.Conv2d(out, out, 3, 1, 1, bias=False),
                nn.BatchNorm2d(out),
            )  # fmt: skip
            same = stride == 1 and width == out
            self.shortcut = nn.Sequential() if same else nn.Sequential(
                nn.Conv2d(width, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )  # fmt: skip
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x):
            return self.relu(self.main(x) + self.shortcut(x))

    blocks: list[nn.Module] = []
    width = 64
    for out, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        blocks += [Block(width, out, stride), Block(out, out, 1)]
        width = out
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(512, 1000),
    )  # fmt: skip


def theirs(net: str, task: str, threads: int, memory_format: str) -> Callable[[], object]:
    """One step of PyTorch."""
    import torch

    torch.set_num_threads(threads)
    layout = getattr(torch, memory_format)
    network = torch_net(net).to(memory_format=layout)
    x = torch.rand(NETS[net], *INPUTS[net]).to(memory_format=layout)
    if task == "predict":
        network.eval()

        def predict() -> object:
            with torch.inference_mode():
                return network(x)

        return predict
    labels = torch.randint(0, 10, (NETS[net],))
    optimiser = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9)
    loss = torch.nn.CrossEntropyLoss()

    def step() -> None:
        optimiser.zero_grad()
        loss(network(x), labels).backward()
        optimiser.step()

    return step


def work(library: str, net: str, task: str, threads: int, memory_format: str) -> None:
    """Compute for half a second whenever a line comes in; answer with the best time in ms."""
    step = (ours if library == "cnntool" else theirs)(net, task, threads, memory_format)
    for _ in range(3):
        step()
    for _ in sys.stdin:
        best, end = float("inf"), time.perf_counter() + 0.5
        while time.perf_counter() < end:
            start = time.perf_counter()
            step()
            best = min(best, time.perf_counter() - start)
        print(best * 1e3, peak_memory(), flush=True)


def peak_memory() -> float:
    """Most memory that this process ever held, MB."""
    with open("/proc/self/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1e3


class Worker:
    """One library in a process of its own."""

    def __init__(self, python: str, *arguments: str) -> None:
        quiet = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
        environment = {k: v for k, v in os.environ.items() if k not in quiet}
        environment["OPENBLAS_NUM_THREADS"] = "1"
        self.process = subprocess.Popen(
            [python, __file__, "--work", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.best, self.memory = float("inf"), 0.0

    def round(self) -> None:
        """Half a second of computing."""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        best, memory = map(float, self.process.stdout.readline().split())
        self.best, self.memory = min(self.best, best), memory

    def close(self) -> None:
        """End it."""
        self.process.stdin.close()
        self.process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nets", nargs="*", default=list(NETS))
    parser.add_argument("--torch-python", default=sys.executable)
    parser.add_argument("--threads", default="2")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--work", nargs=5, metavar="FACT")
    options = parser.parse_args()
    if options.work:
        library, net, task, threads, memory_format = options.work
        work(library, net, task, int(threads), memory_format)
        return
    for net, task in TASKS:
        if net not in options.nets:
            continue
        workers = {"cnntool": Worker(sys.executable, "cnntool", net, task, options.threads, "-")}
        for memory_format in FORMATS:
            workers[memory_format] = Worker(
                options.torch_python, "torch", net, task, options.threads, memory_format
            )
        for _ in range(options.rounds):
            for worker in workers.values():
                worker.round()
        for worker in workers.values():
            worker.close()
        mine = workers["cnntool"]
        other = min(FORMATS, key=lambda name: workers[name].best)
        ratio, images = workers[other].best / mine.best, NETS[net] * 1e3
        print(
            f"{net} {task}, {NETS[net]} images, {options.threads} threads: "
            f"cnntool {mine.best:.2f} ms ({images / mine.best:.0f} images/s, peak {mine.memory:.0f}"
            f" MB), torch {workers[other].best:.2f} ms ({other}, {workers[other].memory:.0f} MB): "
            f"{ratio:.2f}x (goal {GOALS[net, task]}x)",
            flush=True,
        )


if __name__ == "__main__":
    main()
