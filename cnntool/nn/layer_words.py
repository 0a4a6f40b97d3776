"""The closed table of layers: word, settings, rule, and the names that others give them.

Adding a layer is one entry here and one rule. The parser, the messages, the shapes, the completion
of words and the tests read this table. Defaults are torch's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cnntool.nn import other_rules, pool_rules, window_rules
from cnntool.nn.facts import Rule
from cnntool.nn.settings import Setting, Settings
from cnntool.nn.values import Choice, Flag, Maps, Padding, Pair, Real, Whole

PAD_MODES = ("zeros", "reflect", "replicate", "circular", "max")
"""What padding is filled with; max is the largest value of each map."""

UPSAMPLE_MODES = ("nearest", "bilinear")
OFFSETS = ("predicted", "learned")

Check = Callable[[Settings], str]
"""What is wrong with settings taken together; empty if nothing is."""


def _fine(values: Settings) -> str:
    return ""


@dataclass(frozen=True)
class LayerWord:
    """One layer of the language.

    Attributes:
        word: How it is written.
        summary: What it does, one line.
        rule: Its facts for an input.
        settings: What it takes, those by place first, in order.
        aliases: What torch and Keras call it, in lower case without ``_``.
        check: What no single setting can tell.
        example: A text to copy.
    """

    word: str
    summary: str
    rule: Rule
    settings: tuple[Setting, ...] = ()
    aliases: tuple[str, ...] = ()
    check: Check = _fine
    example: str = ""

    @property
    def placed(self) -> tuple[Setting, ...]:
        """Settings that are written by their place."""
        return tuple(setting for setting in self.settings if setting.label)

    @property
    def usage(self) -> str:
        """How to write it: ``conv OUT K [S]``."""
        parts = [s.label if s.required else f"[{s.label}]" for s in self.placed]
        return " ".join([self.word, *parts])

    def setting(self, name: str) -> Setting | None:
        """The setting of a name."""
        return next((setting for setting in self.settings if setting.name == name), None)


_OUT = Setting("out", Whole(), "how many maps or numbers come out", label="OUT", required=True)
_K = Setting("kernel", Pair(), "rows and columns of the window", label="K", required=True)
_STRIDE = Setting("stride", Pair(), "steps of the window", (1, 1), label="S")
_PAD = Setting("pad", Padding(), "pixels around the maps", (0, 0, 0, 0))
_PAD_MODE = Setting("padmode", Choice(PAD_MODES), "what padding is filled with", "zeros")
_DILATION = Setting("dilation", Pair(), "distance of the window's taps", (1, 1))
_GROUPS = Setting("groups", Whole(), "parts of the maps that do not see each other", 1)
_BIAS = Setting("bias", Flag(), "whether a number is added to every map", True)
_DEPTH = Setting("depth", Whole(), "maps that a window spans, else all or one")
_POOL = (
    _K,
    Setting("stride", Pair(), "steps of the window", label="S", like="kernel"),
    _PAD,
    _DILATION,
    Setting("ceil", Flag(), "keep windows that run off the far edge", False),
    _DEPTH,
    Setting("dstride", Whole(), "steps of the window along the maps", like="depth"),
)


def _depth(values: Settings) -> str:
    if values["depth"] is None:
        step = values["dstride"]
        return "" if step in (None, 1) else "dstride needs depth=N, the maps that a window spans"
    return ""


def _conv(values: Settings) -> str:
    if values["depth"] is not None and values.whole("groups") > 1:
        return "depth and groups exclude each other; leave one out"
    return _depth(values) or _groups(values)


def _groups(values: Settings) -> str:
    out, groups = values.whole("out"), values.whole("groups")
    if out % groups:
        return f"groups={groups} does not divide its {out} filters; take a multiple of {groups}"
    return ""


def _deconv(values: Settings) -> str:
    if values["pad"] == "same" and values["outpad"] != (0, 0):
        return "pad=same finds outpad itself; leave outpad out"
    return _groups(values)


_WINDOWED = (_K, _STRIDE, _PAD, _PAD_MODE, _DILATION)


def _table() -> tuple[LayerWord, ...]:
    return (
        LayerWord(
            "conv",
            "convolution: filters that see all maps slide over them",
            window_rules.conv,
            (
                _OUT,
                *_WINDOWED,
                _GROUPS,
                _BIAS,
                _DEPTH,
                Setting("dstride", Whole(), "steps of the filter along the maps", 1),
            ),
            ("conv2d", "convolution2d"),
            _conv,
            "conv 16 5 pad=2",
        ),
        LayerWord(
            "deconv",
            "transposed convolution: enlarges by its stride",
            window_rules.deconv,
            (
                _OUT,
                _K,
                _STRIDE,
                _PAD,
                Setting("outpad", Pair(0), "rows and columns added at the far edge", (0, 0)),
                _DILATION,
                _GROUPS,
                _BIAS,
            ),
            ("convtranspose2d", "conv2dtranspose", "convtranspose"),
            _deconv,
            "deconv 16 4 2 pad=1",
        ),
        LayerWord(
            "depthwise",
            "depthwise convolution: one filter a map",
            window_rules.depthwise,
            (*_WINDOWED, _BIAS),
            ("depthwiseconv2d",),
            example="depthwise 3 pad=1",
        ),
        LayerWord(
            "separable",
            "depthwise convolution, then one of 1×1",
            window_rules.separable,
            (_OUT, *_WINDOWED, _BIAS),
            ("separableconv2d",),
            example="separable 32 3 pad=1",
        ),
        LayerWord(
            "local",
            "locally connected: a convolution with weights of its own at every position",
            window_rules.local,
            (_OUT, *_WINDOWED, _BIAS),
            ("locallyconnected2d",),
            example="local 8 3",
        ),
        LayerWord(
            "deform",
            "deformable convolution: taps move by offsets, learned or predicted per position",
            window_rules.deform,
            (
                _OUT,
                _K,
                _STRIDE,
                _PAD,
                _DILATION,
                _GROUPS,
                _BIAS,
                Setting("offsets", Choice(OFFSETS), "where offsets come from", "predicted"),
            ),
            ("deformconv2d",),
            _groups,
            "deform 16 3 pad=1 offsets=learned",
        ),
        LayerWord(
            "maxpool",
            "largest value of each window",
            pool_rules.pool,
            _POOL,
            ("maxpool2d", "maxpooling2d"),
            _depth,
            "maxpool 2",
        ),
        LayerWord(
            "avgpool",
            "mean of each window",
            pool_rules.pool,
            (*_POOL, Setting("countpad", Flag(), "whether padding counts as zeros", True)),
            ("avgpool2d", "averagepooling2d", "averagepool2d"),
            _depth,
            "avgpool 2",
        ),
        LayerWord("sumpool", "sum of each window", pool_rules.pool, _POOL, (), _depth, "sumpool 2"),
        LayerWord(
            "adaptiveavgpool",
            "mean of windows chosen to give HxW outputs",
            pool_rules.adaptive_pool,
            (
                Setting(
                    "size", Pair(), "rows and columns that come out", label="HxW", required=True
                ),
            ),
            ("adaptiveavgpool2d", "adaptiveaveragepooling2d"),
            example="adaptiveavgpool 7",
        ),
        LayerWord(
            "globalavgpool",
            "mean of each map",
            pool_rules.global_pool,
            aliases=("globalaveragepooling2d", "globalavgpool2d"),
        ),
        LayerWord(
            "globalmaxpool",
            "largest value of each map",
            pool_rules.global_pool,
            aliases=("globalmaxpooling2d", "globalmaxpool2d"),
        ),
        LayerWord(
            "upsample",
            "enlarges by a whole factor",
            pool_rules.upsample,
            (
                Setting("factor", Pair(1, 1000), "how many times larger", label="F", required=True),
                Setting("mode", Choice(UPSAMPLE_MODES), "what lies between", "nearest"),
            ),
            ("upsampling2d",),
            example="upsample 2 mode=bilinear",
        ),
        LayerWord(
            "batchnorm",
            "batch normalisation, with scale and shift for each map",
            other_rules.batchnorm,
            (
                Setting("eps", Real(0, 1, open_low=True), "added to the variance", 1e-5),
                Setting("momentum", Real(0, 1), "share of a batch in running values", 0.1),
            ),
            ("batchnorm2d", "batchnorm1d", "batchnormalization", "batchnormalisation"),
        ),
        LayerWord(
            "lrn",
            "local response normalisation across N neighbouring maps",
            other_rules.lrn,
            (
                Setting("size", Whole(1, 10_000), "maps that count", label="N", required=True),
                Setting("alpha", Real(0, 1e6), "weight of the mean square", 1e-4),
                Setting("beta", Real(0, 1e3), "exponent", 0.75),
                Setting("k", Real(0, 1e6), "added before the power", 1.0),
            ),
            ("localresponsenorm", "localresponsenormalization"),
            example="lrn 5",
        ),
        LayerWord(
            "pad",
            "a frame around every map",
            pool_rules.pad,
            (
                Setting("pad", Padding(same=False), "pixels", label="T:R:B:L", required=True),
                _PAD_MODE,
            ),
            ("zeropad2d", "zeropadding2d"),
            example="pad 0:1:1:0",
        ),
        *_elementwise(),
        LayerWord("flatten", "maps as one vector: channel, row, column", other_rules.flatten),
        LayerWord(
            "dense",
            "fully connected: every output sees every input",
            other_rules.dense,
            (_OUT, _BIAS),
            ("linear",),
            example="dense 10",
        ),
        LayerWord(
            "reshape",
            "the same numbers as CxHxW",
            other_rules.reshape,
            (Setting("shape", Maps(), "channels, rows, columns", label="CxHxW", required=True),),
            ("unflatten",),
            example="reshape 16x7x7",
        ),
    )


def _elementwise() -> tuple[LayerWord, ...]:
    rule = other_rules.elementwise
    slope = Setting("slope", Real(0, 1e3), "slope below zero", 0.01, label="A", spelled=True)
    share = Setting(
        "p", Real(0, 1, open_high=True), "share set to zero", 0.5, label="P", spelled=True
    )
    return (
        LayerWord("relu", "max(x, 0)", rule),
        LayerWord("relu6", "min(max(x, 0), 6)", rule),
        LayerWord("leakyrelu", "x, or A·x below zero", rule, (slope,), example="leakyrelu 0.2"),
        LayerWord("sigmoid", "1/(1 + exp(-x))", rule),
        LayerWord("tanh", "hyperbolic tangent", rule),
        LayerWord("softmax", "exp(x) divided by its sum over the maps, or over the vector", rule),
        LayerWord(
            "dropout",
            "in training, zeroes a share P and scales the rest by 1/(1 - P)",
            rule,
            (share,),
            example="dropout 0.5",
        ),
    )


LAYERS: Mapping[str, LayerWord] = MappingProxyType({entry.word: entry for entry in _table()})
"""Word -> layer, in the order in which they are listed."""

ALIASES: Mapping[str, str] = MappingProxyType(
    {alias: entry.word for entry in LAYERS.values() for alias in entry.aliases}
)
"""What torch and Keras call a layer -> its word."""

COMBINATORS: Mapping[str, str] = MappingProxyType(
    {
        "residual": "residual(main) or residual(main, shortcut)",
        "concat": "concat(a, b | c)",
        "skip": "skip(a | b)",
        "pooled": "pooled K (a | b)",
    }
)
"""Words that take layers in parentheses -> how they are written."""


def canonical(word: str) -> str:
    """The word of the language for a word in any spelling, or the word in lower case.

    Example:
        >>> canonical("Conv2DTranspose"), canonical("max_pool2d"), canonical("Conv")
        ('deconv', 'maxpool', 'conv')
    """
    plain = word.casefold().replace("_", "").replace("-", "")
    return ALIASES.get(plain, plain)
