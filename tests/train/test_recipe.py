"""Recipes are complete, and every data set finds one."""

import numpy as np
import pytest

from cnntool.data.dataset import Dataset, Split
from cnntool.models import MODELS, create
from cnntool.nn import optim, schedule
from cnntool.nn.shapes import trace
from cnntool.train import recipe
from cnntool.train.options import Options
from cnntool.train.recipe import Recipe, recipe_for

RECIPES = {name: value for name, value in vars(recipe).items() if isinstance(value, Recipe)}
CHOSEN = {"epochs", "batch_size", "optimizer", "lr", "schedule"}


def data(name, shape, classes=3):
    images = np.zeros((4, *shape), np.uint8)
    return Dataset(name, tuple("abcdefghij"[:classes]), Split(images, np.arange(4) % classes))


@pytest.mark.parametrize("name", RECIPES)
def test_all_that_matters_is_chosen(name):
    found = RECIPES[name]
    assert found.model in MODELS
    assert set(found.options) >= CHOSEN
    options = Options(dataset="x", model=found.model, spec="dense 2", input=(1, 9, 9),
                      classes=("a", "b"), **found.options)  # fmt: skip
    assert options.optimizer in optim.OPTIMISERS
    assert options.schedule in schedule.SCHEDULES
    assert options.val_split == 0 and options.limit is None and options.seed == 0


def test_recipes_do_not_change():
    with pytest.raises(TypeError):
        recipe.MNIST.options["epochs"] = 3
    with pytest.raises(TypeError):
        recipe.BY_NAME["x"] = recipe.MNIST


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("mnist", (1, 28, 28), "MNIST"),
        ("digits", (1, 28, 28), "SMALL_PICTURES"),
        ("long", (1, 20, 300), "SMALL_PICTURES"),
        ("large", (1, 33, 40), "PICTURES"),
        ("colour", (3, 28, 28), "PICTURES"),
    ],
)
def test_by_name_or_by_size(name, shape, expected):
    assert recipe_for(data(name, shape)) is RECIPES[expected]


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 64, 48), (3, 96, 128)])
def test_the_network_of_the_recipe_fits_its_pictures(shape):
    """Whatever size they have; one number for each class."""
    found = recipe_for(data("some", shape, classes=7))
    spec = create(found.model, 7, shape)
    assert trace(spec.chain, shape).output == (7,)
