"""Rules of pooling, upsampling and padding: layers that move or fold pixels and learn nothing."""

from __future__ import annotations

from cnntool.errors import ShapeError
from cnntool.geometry import pool_output_size
from cnntool.nn.facts import Facts, Misfit, Shape, check_numbers, maps
from cnntool.nn.settings import Settings
from cnntool.nn.windows import pool_window


def pool(values: Settings, shape: Shape) -> Facts:
    """Maximum, average or sum of windows, by torch's rules.

    A window ``depth`` maps deep also slides along the maps, by ``dstride``.
    """
    c, h, w = maps(shape)
    ceil_mode = values.flag("ceil")
    window = pool_window(
        (h, w),
        values.pair("kernel"),
        values.pair("stride"),
        values.sides("pad"),
        values.pair("dilation"),
        ceil_mode,
    )
    depth, step = values.whole("depth"), values.whole("dstride")
    try:
        channels = pool_output_size(c, depth, step, ceil_mode=ceil_mode) if depth else c
    except ShapeError as error:
        raise Misfit(
            f"windows of depth={depth} do not fit the {c} maps of its input: "
            f"({c} - {depth})/{step} + 1 is less than 1",
            f"take depth={c} at most, or leave depth out",
        ) from error
    return Facts(
        output=(channels, *window.out),
        kernel=window.kernel,
        stride=window.stride,
        padding=window.padding,
        field=window.slide,
    )


def _shrunk(shape: Shape, out: tuple[int, int]) -> Facts:
    """Pooling to a given size; a true window only where it divides the input's."""
    c, h, w = maps(shape)
    even = h % out[0] == 0 and w % out[1] == 0
    window = (h // out[0], w // out[1]) if even else None
    check_numbers((c, *out))
    return Facts(
        output=(c, *out),
        kernel=window,
        stride=window,
        padding=(0, 0, 0, 0) if even else None,
        field=lambda field: field.shrink((h, w), out),
    )


def adaptive_pool(values: Settings, shape: Shape) -> Facts:
    """Windows from floor(i·H/oh) to ceil((i+1)·H/oh): they overlap where oh does not divide H."""
    return _shrunk(shape, values.pair("size"))


def global_pool(values: Settings, shape: Shape) -> Facts:
    """One number a map: a window as large as the map."""
    return _shrunk(shape, (1, 1))


def upsample(values: Settings, shape: Shape) -> Facts:
    """Every pixel becomes F×F pixels."""
    c, h, w = maps(shape)
    factor = values.pair("factor")
    output = (c, h * factor[0], w * factor[1])
    check_numbers(output)
    linear = values.word("mode") == "bilinear"
    return Facts(output=output, field=lambda field: field.enlarge(factor, linear=linear))


def pad(values: Settings, shape: Shape) -> Facts:
    """A frame around every map."""
    c, h, w = maps(shape)
    padding = values.sides("pad")
    if isinstance(padding, str):
        raise TypeError("a frame has four sides")
    top, right, bottom, left = padding
    output = (c, h + top + bottom, w + left + right)
    check_numbers(output)
    return Facts(
        output=output,
        padding=padding,
        field=lambda field: field.slide((1, 1), before=(top, left)),
    )
