"""Built-in networks against published numbers."""

import re
from itertools import pairwise

import pytest

from cnntool.errors import NameNotFound, OptionError
from cnntool.models import MODELS, create, find
from cnntool.models.inception import inception_module
from cnntool.models.vgg import vgg_blocks
from cnntool.nn import format_spec, parse, trace


def traced(name, **options):
    spec = create(name, **options)
    return trace(spec.chain, spec.input)


# torchvision counts these as sum(p.numel() for p in model.parameters()); googlenet without its
# auxiliary heads. lenet5, alexnet-2012: counted by hand from the papers.
PARAMETERS = {
    "lenet": 61_706,
    "lenet5": 61_706,
    "mlp": 784 * 300 + 300 + 300 * 100 + 100 + 100 * 10 + 10,
    "alexnet": 61_100_840,
    "alexnet-2012": 60_965_224,
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "googlenet": 6_624_904,
    "efficientnet-lite0": 4_652_008,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name):
    assert traced(name).params == PARAMETERS[name]


def test_arithmetic_of_well_known_networks():
    """Published in GMACs: vgg16 15.47, resnet18 1.81, resnet50 4.09, alexnet 0.71."""
    giga = {name: round(traced(name).macs / 1e9, 2) for name in PARAMETERS}
    assert giga["vgg16"] == 15.47 and traced("vgg16").macs == 15_470_264_320
    assert (giga["resnet18"], giga["resnet50"]) == (1.81, 4.09)
    assert (giga["googlenet"], giga["alexnet"]) == (1.5, 0.71)


def last_map(name):
    """The last row before everything is averaged or flattened."""
    rows = traced(name).rows
    end = next(i for i, row in enumerate(rows) if row.name.endswith(("flatten", "avgpool")))
    return rows[end - 1]


def test_last_maps():
    """Fields as tables of receptive fields have them: alexnet 195, vgg16 212, resnet18 435."""
    for name, size, jump, output in [
        ("alexnet", 195, 32, (256, 6, 6)),
        ("vgg16", 212, 32, (512, 7, 7)),
        ("resnet18", 435, 32, (512, 7, 7)),
        ("resnet50", 427, 32, (2048, 7, 7)),
    ]:
        row = last_map(name)
        assert (row.receptive_field, row.jump, row.output) == ((size,) * 2, (jump,) * 2, output)


def maps_of(name):
    """Shapes after each change of the rows, without what keeps them."""
    shapes = [row.output for row in traced(name).rows]
    return [shapes[0]] + [b for a, b in pairwise(shapes) if a != b]


def test_sizes_of_the_papers():
    assert maps_of("lenet5") == [
        (6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (400,), (120,), (84,), (10,),
    ]  # fmt: skip
    assert maps_of("alexnet-2012")[:6] == [
        (96, 55, 55), (96, 27, 27), (256, 27, 27), (256, 13, 13), (384, 13, 13), (256, 13, 13),
    ]  # fmt: skip
    sizes = [row.output for row in traced("googlenet").rows if row.name.endswith(".concat")]
    assert sizes == [
        (256, 28, 28), (480, 28, 28), (512, 14, 14), (512, 14, 14), (512, 14, 14), (528, 14, 14),
        (832, 14, 14), (832, 7, 7), (1024, 7, 7),
    ]  # fmt: skip


def test_vgg_small_is_the_net_of_the_speed_comparison():
    assert create("vgg-small").text == (
        "(conv 32 3 pad=1 | relu)*2 | maxpool 2 | (conv 64 3 pad=1 | relu)*2 | maxpool 2 | "
        "(conv 128 3 pad=1 | relu)*2 | maxpool 2 | flatten | dense 10"
    )
    assert create("lenet5").text == (
        "conv 6 5 pad=2 | relu | maxpool 2 | conv 16 5 | relu | maxpool 2 | flatten | dense 120 | "
        "relu | dense 84 | relu | dense 10"
    )


def test_lenet_of_1998_differs_in_what_has_no_weights():
    words = re.findall(r"[a-z]+", create("lenet").text)
    assert "relu" not in words and "maxpool" not in words
    assert words.count("sigmoid") == 4 and words.count("avgpool") == 2 and words[-1] == "softmax"


def test_segmentation_gives_a_class_for_every_pixel():
    for name in ("unet", "unet-2015", "segnet", "segnet-vgg16"):
        spec = create(name, classes=7)
        assert trace(spec.chain, spec.input).output == (7, *spec.input[1:])
    # five pools of 2 do not divide 90 rows; unpooling gives each size back all the same
    odd = create("segnet-vgg16")
    assert trace(odd.chain, (3, 90, 125)).output == (12, 90, 125)


def convolutions(widths):
    """Weights of 3×3 convolutions with scale and shift, from one width to the next."""
    return sum(9 * a * b + 2 * b for a, b in pairwise(widths))


def test_segnet_is_vgg16_there_and_back():
    there = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    back = [512, 512, 512, 512, 512, 512, 256, 256, 256, 128, 128, 64, 64]
    last = 9 * 64 * 12 + 12
    assert traced("segnet-vgg16").params == convolutions(there) + convolutions(back) + last
    pools = [row for row in traced("segnet-vgg16").rows if row.name.endswith("maxpool")]
    assert len(pools) == 5


def test_small_segnet():
    """Two levels of the paper's form around three residual pairs."""
    widths = [3, 16, 16, 48, 48, 64, 64, 64, 64, 64, 64, 64, 48, 48, 16, 16]
    assert traced("segnet").params == convolutions(widths) + 9 * 16 * 4 + 4


def test_unet_of_2015():
    widths = [64, 128, 256, 512, 1024]
    conv = lambda a, b, k: k * k * a * b + b  # noqa: E731
    down = sum(conv(a, b, 3) + conv(b, b, 3) for a, b in pairwise([1, *widths]))
    up = sum(conv(b, a, 2) + conv(2 * a, a, 3) + conv(a, a, 3) for a, b in pairwise(widths))
    assert traced("unet-2015").params == down + up + conv(64, 2, 1)


# ---------------------------------------------------------------------------------- every one
@pytest.mark.parametrize("name", MODELS)
def test_every_network(name):
    model = find(name)
    spec = create(name)
    assert (spec.name, spec.input, spec.classes) == (name, model.input, model.classes)
    assert parse(spec.text) == spec.chain == parse(format_spec(spec.chain))
    assert trace(spec.chain, spec.input).output[0] == model.classes
    assert model.summary and len(model.summary) <= 60 and not model.summary.endswith(".")
    assert model.paper == "" or re.match(r"[A-Z].* (19|20)\d\d, [A-Z]", model.paper)
    smaller = create(name, classes=3)
    assert trace(smaller.chain, spec.input).output[0] == 3


def test_the_table_has_what_was_promised():
    assert {
        "lenet", "lenet5", "alexnet", "alexnet-2012", "vgg11", "vgg13", "vgg16", "vgg19",
        "vgg-small", "resnet18", "resnet34", "resnet50", "inception", "unet", "segnet", "mlp",
    } <= set(MODELS)  # fmt: skip


def test_other_inputs():
    spec = create("resnet18", input=(1, 64, 48))
    assert spec.input == (1, 64, 48)
    assert trace(spec.chain, spec.input).output == (1000,)


def test_unknown_networks_and_classes():
    with pytest.raises(NameNotFound, match="unknown model 'vg16'; did you mean 'vgg16'"):
        create("vg16")
    with pytest.raises(NameNotFound, match="See 'cnntool models'"):
        find("nothing")
    for classes in (0, -1, 10**7):
        with pytest.raises(OptionError, match=f"{classes} classes are impossible; use 1 to"):
            create("lenet5", classes=classes)


def test_blocks_of_any_size():
    text = vgg_blocks([(4, 1), (6, 3)], norm=True)
    found = trace(parse(text), (3, 8, 12))
    assert found.output == (6, 2, 3)
    assert found.params == convolutions([3, 4, 6, 6, 6])
    module = inception_module((1, 2, 3, 4, 5, 6))
    found = trace(parse(module), (7, 5, 6))
    assert found.output == (1 + 3 + 5 + 6, 5, 6)
    ways = [7 * 1 + 1, 7 * 2 + 2, 9 * 2 * 3 + 3, 7 * 4 + 4, 25 * 4 * 5 + 5, 7 * 6 + 6]
    assert found.params == sum(ways)
