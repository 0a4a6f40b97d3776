"""cnntool bench: what it prints, what it refuses, how it ends. Figures are not judged."""

import csv
import io
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest
from cli_runner import done, invoke, refused

from cnntool import backend
from cnntool.cli.commands.bench import command
from cnntool.jobs import bench, bench_report
from cnntool.machine import cores
from cnntool.report.environment import facts

SMALL = "conv 3 2x3 | relu | maxpool 2 | flatten | dense 4"
QUICK = ("--seconds", "0.01", "--device", "cpu")
TINY = ("--model", SMALL, "--input", "2x9x8", "--batch-size", "5", *QUICK)
README = pathlib.Path(__file__).parents[2] / "README.md"


@pytest.fixture(autouse=True)
def _calm(monkeypatch):
    """A machine that does nothing else: no notes about busy ones."""
    monkeypatch.setattr(bench_report, "NOISE", 1e9)
    monkeypatch.setattr(bench, "seconds_in_queue", lambda: 0.0)


@pytest.fixture
def small_picture(monkeypatch):
    for module in (bench, bench_report):
        monkeypatch.setattr(module, "PICTURE", (20, 30, 3))


def as_json(*args, **options):
    return json.loads(done("bench", *args, "--json", **options).text)


# ------------------------------------------------------------------------------------- output
def test_json():
    found = as_json(*TINY, "--threads", "2")
    assert list(found)[:4] == [
        "device", "threads", "train_images_per_second", "predict_images_per_second",
    ]  # fmt: skip
    expected = {
        "device": "cpu", "threads": 2, "model": SMALL, "input": [2, 9, 8], "batch_size": 5,
        "parameters": 187, "macs": 8 * 6 * 36 + 36 * 4, "cores": cores(),
    }  # fmt: skip
    assert expected.items() <= found.items()
    for part in ("train", "predict"):
        assert found[f"{part}_milliseconds"] <= found[f"{part}_median_milliseconds"]
        rate = 5 / (found[f"{part}_milliseconds"] / 1e3)
        assert found[f"{part}_images_per_second"] == pytest.approx(rate, rel=1e-3)
        flops = {"train": 6, "predict": 2}[part] * found["macs"] * rate
        assert found[f"{part}_gflops"] == pytest.approx(flops / 1e9, rel=1e-3)
    assert found["peak_memory_bytes"] > 1 << 20
    assert "filter" not in found


def test_json_names_versions_as_info_does(monkeypatch):
    known, found = facts(), as_json(*TINY)
    for name in ("cnntool", "python", "system", "numpy", "blas", "cores"):
        assert found[name] == known[name]
    assert found["blas_threads"] == known["blas_threads"]


def test_json_of_filters(small_picture):
    found = as_json(*TINY, "--filter")["filter"]
    assert list(found) == ["width", "height", "channels", "sobel-x", "gaussian-5", "general-7x7"]
    assert (found["width"], found["height"], found["channels"]) == (30, 20, 3)
    for name in list(found)[3:]:
        rate = 600 / 1e6 / (found[name]["milliseconds"] / 1e3)
        assert found[name]["megapixels_per_second"] == pytest.approx(rate, rel=1e-3)
        assert found[name]["median_milliseconds"] >= found[name]["milliseconds"]


def test_table_for_reading():
    result = done("bench", *TINY, "--threads", "1")
    lines = result.lines
    assert re.split(r"  +", lines[0]) == ["task", "best ms", "median ms", "images/s", "GFLOP/s"]
    assert [line.split()[0] for line in lines[1:3]] == ["train", "predict"]
    assert all(float(cell) > 0 for line in lines[1:3] for cell in line.split()[1:])
    assert lines[3:7] == [
        "",
        f"model        {SMALL}, inputs 2x9x8, 5 at a time",
        "parameters   187; 1872 MACs an input",
        "device       cpu, 1 thread",
    ]
    assert re.fullmatch(r"peak memory  [\d.]+ [MG]iB", lines[7])
    assert len(lines) == 8
    assert result.stderr == ""


def test_table_of_filters(small_picture):
    lines = done("bench", *TINY, "--filter").lines
    assert re.split(r"  +", lines[4]) == ["filter", "best ms", "median ms", "megapixels/s"]
    names = [line.split()[0] for line in lines[5:8]]
    assert names == ["sobel-x", "gaussian-5", "general-7x7"]
    assert "picture      30x20, 3 channels, 8 bits in and out" in lines


def test_long_specifications_are_cut_for_reading():
    layers = ["conv 3 1", *["relu"] * 30]
    text = " | ".join(layers)
    (line,) = [
        line
        for line in done("bench", *TINY, "--model", text, "-q").lines
        if line.startswith("model ")
    ]
    assert line == f"model        {text[:59]}…, inputs 2x9x8, 5 at a time"
    assert as_json(*TINY, "--model", text, "-q")["model"] == text


def test_where_the_peak_is_unknown(monkeypatch):
    monkeypatch.setattr(bench, "peak_memory", lambda device: None)
    assert as_json(*TINY)["peak_memory_bytes"] is None
    assert not any("peak memory" in line for line in done("bench", *TINY).lines)


def test_rows_for_programs(small_picture):
    rows = list(csv.DictReader(io.StringIO(done("bench", *TINY, "--csv", "--filter").text)))
    assert [row["task"] for row in rows] == [
        "train", "predict", "sobel-x", "gaussian-5", "general-7x7",
    ]  # fmt: skip
    assert list(rows[0]) == [
        "task", "best_milliseconds", "median_milliseconds", "images_per_second", "gflops",
        "megapixels_per_second",
    ]  # fmt: skip
    assert float(rows[0]["images_per_second"]) > 0 and rows[0]["megapixels_per_second"] == ""
    assert float(rows[2]["megapixels_per_second"]) > 0 and rows[2]["gflops"] == ""
    assert done("bench", *TINY, "--as", "tsv").lines[0].split("\t") == list(rows[0])
    lines = [json.loads(line) for line in done("bench", *TINY, "--as", "jsonl").lines]
    assert [line["task"] for line in lines] == ["train", "predict"]
    assert lines[0]["megapixels_per_second"] is None


def test_lenet5_is_the_default():
    found = as_json(*QUICK)
    assert (found["model"], found["input"], found["batch_size"]) == ("lenet5", [1, 28, 28], 128)
    assert (found["parameters"], found["macs"]) == (61706, 416520)
    assert found["threads"] == cores()


def test_classes_and_inputs_of_a_built_in_network():
    found = as_json(
        *QUICK, "--model", "lenet5", "--classes", "26", "--input", "3x20x24", "--batch-size", "4"
    )
    assert found["input"] == [3, 20, 24]
    lines = done("shape", "lenet5", "--classes", "26", "--input", "3x20x24", "--json").text
    assert found["parameters"] == json.loads(lines)["total"]["params"]


def test_specification_from_a_file_and_from_a_pipe(folder):
    (folder / "net.txt").write_text(SMALL)
    assert as_json(*TINY, "--model", "@net.txt")["model"] == SMALL
    assert as_json(*TINY, "--model", "-", stdin=SMALL.encode())["model"] == SMALL


def test_variables_set_options():
    found = as_json(*TINY, env={"CNNTOOL_BENCH_THREADS": "3", "CNNTOOL_BENCH_MODEL": "dense"})
    assert (found["threads"], found["model"]) == (3, SMALL)


def test_models_without_training():
    result = done("bench", *TINY, "--model", "conv 3 2 | relu", "--json")
    found = json.loads(result.text)
    assert result.errors == [
        "cnntool: the network's output is 3×8×7, no vector of classes: prediction alone is measured"
    ]
    for name in ("images_per_second", "milliseconds", "median_milliseconds", "gflops"):
        assert found[f"train_{name}"] is None
        assert found[f"predict_{name}"] > 0
    result = done("bench", *TINY, "--model", "flatten")
    assert [line.split()[0] for line in result.lines[1:2]] == ["predict"]
    assert result.errors == [
        "cnntool: the network has no parameters to train: prediction alone is measured"
    ]
    assert done("bench", *TINY, "--model", "flatten", "-q").stderr == ""


def test_an_input_is_taken_where_none_is_given():
    note = "cnntool: an input of 1x28x28 is taken; --input CxHxW gives another"
    args = ("bench", *QUICK, "--model", "flatten | dense 2", "--batch-size", "3", "--json")
    assert done(*args).errors == [note]
    assert json.loads(done(*args, "-q").text)["input"] == [1, 28, 28]


def test_progress_on_a_terminal_is_wiped_off(small_picture):
    result = done("bench", *TINY, "--filter", terminal="stderr")
    words = ("train", "predict", "sobel-x", "gaussian-5", "general-7x7")
    shown = [text for text in result.stderr.split("\r") if text.strip()]
    assert shown == [f"measuring {word} …" for word in words]
    assert result.stderr.endswith("\r" + " " * len(shown[-1]) + "\r")
    for option in ("-q", "--no-progress"):
        assert done("bench", *TINY, option, terminal="stderr").stderr == ""


# -------------------------------------------------------------------------------------- notes
def test_a_busy_machine_is_told(monkeypatch):
    monkeypatch.setattr(bench_report, "NOISE", 1.3)
    times = iter([(1.0, 1.2, 1.3), (1.0, 1.52, 2.0)] * 2)
    monkeypatch.setattr(bench, "measure", lambda work, *_: next(times))
    assert done("bench", *TINY).errors == [
        "cnntool: the machine is busy: the median time of predict is 1.5 times the best; "
        "end other programs, or take more --seconds"
    ]
    assert done("bench", *TINY, "-q").stderr == ""
    monkeypatch.setattr(bench, "measure", lambda work, *_: (1.0, 1.29, 1.3))
    assert done("bench", *TINY).stderr == ""


def test_waiting_for_cores_is_told(monkeypatch):
    monkeypatch.setattr(bench_report, "NOISE", 1.3)
    clock = iter([0, 10, 20, 30])  # seconds: training takes 10, prediction too
    monkeypatch.setattr(bench, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(bench, "measure", lambda work, *_: (1.0, 2.0, 2.0))
    queue = iter([5, 8.75, 9, 9.5])
    monkeypatch.setattr(bench, "seconds_in_queue", lambda: next(queue))
    assert done("bench", *TINY).errors == [
        "cnntool: the machine is busy: train waited 38% of the time for a core; "
        "end other programs, or take fewer --threads"
    ]


# ------------------------------------------------------------------------------------ refusals
@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--model", "lenett"], "unknown model 'lenett'; did you mean 'lenet' or 'lenet5'"),
        (["--model", "conv 3 2 | conv 3 9"], "conv"),
        (["--model", "conv 3 2 | drpout"], "unknown layer 'drpout' at column 12"),
        (["--model", "conv 3 2", "--classes", "3"], "--classes changes built-in networks only"),
        (["--model", "@nowhere.txt"], "the specification cannot be read"),
        (["--input", "big"], "'big' is no input; write CxHxW such as 1x28x28"),
        (["--batch-size", "0"], "0 is not in the range"),
        (["--seconds", "0"], "0.0 is not in the range 0<x<=600"),
        (["--seconds", "601"], "601.0 is not in the range 0<x<=600"),
        (["--threads", "-1"], "-1 is not in the range 0<=x<=1024"),
        (["--seed", "-1"], "-1 is not in the range"),
        (["--device", "tpu"], "unknown device 'tpu'; use cpu, gpu, gpu:N (N from 0) or auto"),
        (["--json", "--csv"], "--json and --csv exclude each other"),
        (["lenet5"], "unexpected extra argument"),
    ],
)
def test_usage(args, message):
    assert message in refused(2, "bench", *TINY, *args)


def test_shapes_that_do_not_fit_are_refused():
    line = refused(2, "bench", "--model", "conv 8 3 | maxpool 2 | conv 8 9", "--input", "1x12x12")
    assert "8×5×5" in line


def test_a_batch_that_does_not_fit_into_the_memory(monkeypatch):
    monkeypatch.setattr(bench, "physical_memory", lambda: 1 << 20)
    line = refused(3, "bench", *TINY, "--batch-size", "100000")
    assert re.search(
        r"a batch of 100000 needs about 193\.\d MiB of memory, 768\.0 KiB can be used here; "
        r"try --batch-size 38\d$",
        line,
    )


def test_no_gpu(monkeypatch):
    monkeypatch.setattr(backend, "_probed", {})
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert "GPUs need CuPy" in refused(3, "bench", *TINY, "--device", "gpu")
    result = done("bench", *TINY, "--device", "auto", "--json")
    assert json.loads(result.text)["device"] == "cpu"
    assert result.stderr == ""
    (note,) = done("bench", *TINY, "--device", "auto", "-v").errors
    assert note.startswith("cnntool: measured on the CPU: GPUs need CuPy")


def test_gpu(double_as_gpu, small_picture):
    found = as_json(*TINY, "--device", "gpu", "--threads", "4", "--filter")
    assert (found["device"], found["threads"]) == ("gpu:0", 1)
    assert found["gpu_model"] == "Stand-in" and "cupy" in found
    assert found["train_images_per_second"] > 0 and found["peak_memory_bytes"] > 0
    assert found["filter"]["sobel-x"]["milliseconds"] > 0
    assert as_json(*TINY, "--device", "auto")["device"] == "gpu:0"
    assert "device       gpu:0" in done("bench", *TINY, "--device", "gpu").lines


# ------------------------------------------------------------------------------------ the rest
def test_completion():
    names = ["--model", "--device"]
    assert all(any(name in parameter.opts for parameter in command.params) for name in names)
    result = invoke(
        env={"_CNNTOOL_COMPLETE": "bash_complete", "COMP_WORDS": "cnntool bench --model vgg1",
             "COMP_CWORD": "3"},
    )  # fmt: skip
    found = {line.partition(",")[2] for line in result.lines}
    assert found == {"vgg11", "vgg13", "vgg16", "vgg19"}


@pytest.mark.faults
@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_ends_by_signals(number):
    child = subprocess.Popen(
        [sys.executable, "-m", "cnntool", "bench", *TINY, "--seconds", "60", "--threads", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    time.sleep(1.5)
    assert child.poll() is None
    begun = time.monotonic()
    os.killpg(child.pid, number)
    out, errors = child.communicate(timeout=20)  # until its workers, too, have let go of the pipes
    assert child.returncode == -number
    assert time.monotonic() - begun < 5
    assert (out, errors) == (b"", b"")


def skeleton(text: str) -> list[str]:
    """Lines without figures and without the space that aligns them."""
    return [" ".join(re.sub(r"\d[\d.]*", "#", line).split()) for line in text.splitlines()]


def test_example_of_readme(monkeypatch):
    """Its figures are those of one machine; all else is what is printed."""
    monkeypatch.setattr(bench, "peak_memory", lambda device: 70 << 20)  # of this process: any
    text = README.read_text("utf-8")
    blocks = re.findall(r"```text\n\$ cnntool (bench.*)\n((?:.*\n)*?)```", text)
    assert len(blocks) == 1
    ((line, expected),) = blocks
    result = done(*line.split(), "--seconds", "0.02", "--threads", "2", "--device", "cpu")
    assert skeleton(result.text) == skeleton(expected)
