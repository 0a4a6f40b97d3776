"""cnntool models: the list, and texts that are ready to edit."""

import csv
import importlib
import io
import json

import click
import pytest
from cli_runner import done, refused

from cnntool.cli.commands.models import command
from cnntool.cli.commands.shape import command as shape
from cnntool.models import MODELS, create
from cnntool.models.adversarial import GANS
from cnntool.nn import parse
from cnntool.nn.gan_spec import parse_gan


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    """The commands, whether or not they are in the table of all commands."""
    group = importlib.import_module("cnntool.cli.main").group
    monkeypatch.setitem(group.commands, "models", command)
    monkeypatch.setitem(group.commands, "shape", shape)


def test_list():
    lines = done("models").lines
    assert lines[0].split() == ["name", "params", "input", "classes", "summary", "paper"]
    assert [line.split()[0] for line in lines[1:]] == [*MODELS, *GANS]
    resnet = next(line for line in lines if line.startswith("resnet18 "))
    assert resnet.split()[:4] == ["resnet18", "11689512", "3x224x224", "1000"]
    assert resnet.endswith("He et al. 2016")


def test_list_for_programs():
    found = {row["name"]: row for row in json.loads(done("models", "--json").text)}
    assert set(found) == {*MODELS, *GANS}
    assert found["vgg16"]["params"] == 138357544
    assert found["vgg16"]["macs"] == 15470264320
    assert found["vgg16"]["input"] == [3, 224, 224]
    assert found["cnn-mnist"]["paper"] is None
    assert parse(found["unet"]["spec"]) == create("unet").chain
    rows = list(csv.DictReader(io.StringIO(done("models", "--csv").text)))
    assert rows[1]["paper"].startswith("LeCun et al. 1998, Gradient-based learning")
    assert rows[1]["input"] == "1x28x28"


@pytest.mark.parametrize("name", ["lenet5", "unet", "googlenet"])
def test_specification_ready_to_edit(name):
    result = done("models", name)
    assert result.text == create(name).text + "\n"
    spec = create(name)
    piped = done(
        "shape", "-", "--input", "x".join(map(str, spec.input)), "--json", stdin=result.stdout
    )
    assert json.loads(piped.text) == json.loads(done("shape", name, "--json").text)


def test_one_network_for_programs():
    (row,) = json.loads(done("models", "lenet5", "--json").text)
    assert (row["name"], row["layers"], row["classes"]) == ("lenet5", 12, 10)
    assert done("models", "lenet5", "--as", "tsv").lines[1].split("\t")[1] == "61706"


@pytest.mark.parametrize("name", GANS)
def test_adversarial_networks(name):
    """Listed with what both have, printed, and no single network to be shown."""
    (row,) = json.loads(done("models", name, "--json").text)
    text = done("models", name).text
    spec = parse_gan(text)
    assert row["spec"] + "\n" == text
    assert row["classes"] == (10 if spec.condition == "class" else None)
    assert row["params"] > 100_000
    line = refused(2, "shape", name)
    assert line.endswith(
        f"'{name}' are networks against each other; 'cnntool models {name}' prints them, "
        f"'cnntool train DATASET --model {name}' trains them"
    )


def test_authors_of_adversarial_networks():
    papers = {line.split()[0]: line for line in done("models").lines}
    assert papers["conditional"].endswith("Mirza and Osindero 2014")


def test_unknown_networks():
    line = refused(2, "models", "resnet19")
    assert "unknown model 'resnet19'; did you mean 'resnet18'" in line
    assert line.endswith("See 'cnntool models'")
    assert "unknown model 'x'. See 'cnntool models'" in refused(2, "models", "x", "--json")


def test_completion():
    parameter = next(p for p in command.params if p.name == "model")
    found = parameter.shell_complete(click.Context(command), "vgg1")
    assert [item.value for item in found] == ["vgg11", "vgg13", "vgg16", "vgg19"]
    found = parameter.shell_complete(click.Context(command), "dc")
    assert [item.value for item in found] == ["dcgan"]
