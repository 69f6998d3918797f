"""The traps of CANN's parser: whether a node has the form that a row of cann.json is about.

A trap is a function here, a line of `CHECKS`, and a row of the table with its operators, opsets, releases and words.
"""

from __future__ import annotations

import math
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from .graph import Graph, Node

    Check = Callable[[Node, Graph], bool]

_NCHW = 4
# What the plugin of Resize knows when the mode is nearest.
_HALF_PIXEL = ("half_pixel", "pytorch_half_pixel")
_NEAREST_COORDINATES = (*_HALF_PIXEL, "align_corners", "asymmetric")
_RESIZE_INPUTS = 3
_CUBIC_COEFFICIENT = -0.75
_MOST_KERNEL, _MOST_STRIDE = 255, 63


def _always(_node: Node, _graph: Graph) -> bool:
    return True


def _attribute(name: str, default: Any, wanted: Callable[[Any], bool]) -> Check:  # noqa: ANN401
    """Return a check of one attribute."""
    return lambda node, _graph: wanted(node.attributes.get(name, default))


def _absent(*names: str) -> Check:
    """Return a check that any of some attributes is not there."""
    return lambda node, _graph: any(name not in node.attributes for name in names)


def _rank(number: int, wanted: Callable[[int | None], bool]) -> Check:
    """Return a check of the rank of an input."""
    return lambda node, graph: wanted(graph.rank(node.input(number)))


def _known_but(*ranks: int) -> Callable[[int | None], bool]:
    return lambda rank: rank is not None and rank not in ranks


# --- Shape, Split, Reduce


def _part_of_shape(node: Node, graph: Graph) -> bool:
    """Tell whether Shape is asked for fewer sides than there are."""
    start, end = node.attributes.get("start", 0), node.attributes.get("end")
    rank = graph.rank(node.input(0))
    if rank is None:
        return start != 0 or end is not None
    return len(range(rank)[start:end]) != rank


def _split_without_sizes(node: Node, _graph: Graph) -> bool:
    return not node.input(1)


def _split_computed(node: Node, graph: Graph) -> bool:
    return bool(node.input(1)) and not graph.is_constant(node.input(1))


def _reduces(node: Node, _graph: Graph) -> bool:
    """Tell whether a Reduce of opset 18 is meant to reduce something."""
    return bool(node.input(1)) or not node.attributes.get("noop_with_empty_axes")


def _no_axes(node: Node, _graph: Graph) -> bool:
    return "axes" not in node.attributes and not node.input(1)


def _axes_input(node: Node, _graph: Graph) -> bool:
    return bool(node.input(1))


# --- Resize


def _mode(node: Node) -> str:
    return str(node.attributes.get("mode", "nearest"))


def _coordinates(node: Node) -> str:
    return str(node.attributes.get("coordinate_transformation_mode", "half_pixel"))


def _rounding(node: Node) -> str:
    return str(node.attributes.get("nearest_mode", "round_prefer_floor"))


def _factors(node: Node, graph: Graph) -> tuple[float, ...]:
    """Return how much larger the result is along each side of which that is known."""
    scales = graph.constant(node.input(2))
    if scales is not None and scales.size:
        return tuple(float(scale) for scale in scales.reshape(-1))
    before, after = graph.shape(node.input(0)), graph.shape(node.output(0))
    if before is None or after is None or len(before) != len(after):
        return ()
    return tuple(new / old for old, new in zip(before, after, strict=True) if old and new)


def _nearest_differs(node: Node, graph: Graph) -> bool:
    """Tell whether whole scales with asymmetric coordinates take other pixels than those below."""
    factors = _factors(node, graph)
    whole = bool(factors) and all(factor >= 1 and factor.is_integer() for factor in factors)
    if _mode(node) != "nearest" or _coordinates(node) != "asymmetric" or not whole:
        return False
    rounds = {
        "floor": math.floor,
        "ceil": math.ceil,
        "round_prefer_floor": lambda place: math.ceil(place - 0.5),
        "round_prefer_ceil": lambda place: math.floor(place + 0.5),
    }
    rounded = rounds.get(_rounding(node), math.floor)
    return any(rounded(place / factor) for factor in factors for place in range(int(factor)))


def _nearest_open(node: Node, graph: Graph) -> bool:
    right = _coordinates(node) == "asymmetric" and _rounding(node) == "floor"
    known = _coordinates(node) in _NEAREST_COORDINATES
    return _mode(node) == "nearest" and known and not right and not _nearest_differs(node, graph)


def _coordinates_misread(node: Node, _graph: Graph) -> bool:
    return _mode(node) == "nearest" and _coordinates(node) not in _NEAREST_COORDINATES


def _coordinates_open(node: Node, _graph: Graph) -> bool:
    return _mode(node) != "nearest" and _coordinates(node) not in _NEAREST_COORDINATES


def _antialias(node: Node) -> bool:
    return _mode(node) != "nearest" and bool(node.attributes.get("antialias", 0))


def _antialias_acts(node: Node, graph: Graph) -> bool:
    return _antialias(node) and any(factor < 1 for factor in _factors(node, graph))


def _antialias_open(node: Node, graph: Graph) -> bool:
    return _antialias(node) and not _antialias_acts(node, graph)


def _resize_axes(node: Node, graph: Graph) -> bool:
    axes = node.attributes.get("axes")
    rank = graph.rank(node.input(0))
    return axes is not None and (rank is None or list(axes) != list(range(rank)))


def _aspect_ratio(node: Node, _graph: Graph) -> bool:
    return bool(node.input(3)) and str(node.attributes.get("keep_aspect_ratio_policy", "stretch")) != "stretch"


def _cubic_settings(node: Node, _graph: Graph) -> bool:
    coefficient = float(node.attributes.get("cubic_coeff_a", _CUBIC_COEFFICIENT))
    outside = bool(node.attributes.get("exclude_outside", 0))
    return _mode(node) == "cubic" and (outside or coefficient != _CUBIC_COEFFICIENT)


def _cubic(node: Node, graph: Graph) -> bool:
    return _mode(node) == "cubic" and not _cubic_settings(node, graph)


def _resize_rank(node: Node, graph: Graph) -> bool:
    return _mode(node) == "nearest" and _known_but(_NCHW)(graph.rank(node.input(0)))


def _resize_rank_open(node: Node, graph: Graph) -> bool:
    return _mode(node) != "nearest" and _known_but(_NCHW)(graph.rank(node.input(0)))


def _few_inputs(node: Node, _graph: Graph) -> bool:
    return len(node.inputs) < _RESIZE_INPUTS


# --- pads, pools, convolutions


def _pad_axes(node: Node, graph: Graph) -> bool:
    """Tell whether Pad names axes other than all of them in order."""
    if not node.input(3):
        return False
    axes, rank = graph.constant(node.input(3)), graph.rank(node.input(0))
    return axes is None or rank is None or not np.array_equal(axes, np.arange(rank))


def _no_bounds(node: Node, _graph: Graph) -> bool:
    return not node.input(1) and not node.input(2)


def _pool_indices(node: Node, _graph: Graph) -> bool:
    return bool(node.output(1)) or bool(node.attributes.get("storage_order", 0))


def _pool_dilations(node: Node, _graph: Graph) -> bool:
    dilations = node.attributes.get("dilations", ())
    return len(dilations) == 2 and any(side != 1 for side in dilations)  # noqa: PLR2004


def _large_pool(node: Node, _graph: Graph) -> bool:
    kernel, strides = node.attributes.get("kernel_shape", ()), node.attributes.get("strides", ())
    large = math.prod(kernel) > _MOST_KERNEL or any(stride > _MOST_STRIDE for stride in strides)
    return large and bool(node.attributes.get("ceil_mode", 0))


def _pool_same_lower(node: Node, _graph: Graph) -> bool:
    """Tell whether SAME_LOWER is another padding than SAME_UPPER: an odd kernel with steps of one is padded evenly."""
    kernel, strides = node.attributes.get("kernel_shape", ()), node.attributes.get("strides", ())
    even = all(side % 2 for side in kernel) and all(stride == 1 for stride in strides)
    return node.attributes.get("auto_pad") == "SAME_LOWER" and not even


def _conv_3d_auto_pad(node: Node, graph: Graph) -> bool:
    same = str(node.attributes.get("auto_pad", "")).startswith("SAME")
    return same and graph.rank(node.input(1)) == _NCHW + 1


def _after_output_shape(node: Node, graph: Graph) -> bool:
    """Tell whether a ConvTranspose without auto_pad comes after one with output_shape."""
    before = takewhile(lambda other: other is not node, graph.nodes)
    earlier = (other for other in before if other.op_type == node.op_type)
    return "auto_pad" not in node.attributes and any("output_shape" in other.attributes for other in earlier)


# --- the rest


def _zero_in_shape(node: Node, graph: Graph) -> bool:
    shape = graph.constant(node.input(1))
    return bool(node.attributes.get("allowzero", 0)) and shape is not None and bool((shape == 0).any())


def _computed_shape(node: Node, graph: Graph) -> bool:
    return bool(node.attributes.get("allowzero", 0)) and graph.constant(node.input(1)) is None


def _log_softmax_axis(node: Node, graph: Graph) -> bool:
    return "axis" not in node.attributes and graph.rank(node.input(0)) != 2  # noqa: PLR2004


def _shapes_differ(node: Node, graph: Graph) -> bool:
    shapes = [graph.shape(name) for name in node.inputs]
    return None in shapes or len(set(shapes)) > 1


def _slope_of_rank(node: Node, graph: Graph) -> bool:
    rank = graph.rank(node.input(1))
    return rank is None or rank > 1


def _reduction(node: Node, _graph: Graph) -> bool:
    return str(node.attributes.get("reduction", "none")) != "none"


CHECKS: dict[str, Check] = {
    "shape-part": _part_of_shape,
    "split-no-sizes": _split_without_sizes,
    "split-equal-parts": _split_without_sizes,
    "split-computed-sizes": _split_computed,
    "reduce-mean-axes-input": _always,
    "reduce-axes-input": _reduces,
    "reduce-axes-attribute": _attribute("axes", None, lambda axes: axes is not None),
    "reduce-all-axes": _no_axes,
    "reduce-sum-all-axes": _no_axes,
    "reduce-sum-square-axes-input": _axes_input,
    "resize-nearest-mode": _nearest_differs,
    "resize-nearest-mode-open": _nearest_open,
    "resize-coordinates": _coordinates_misread,
    "resize-coordinates-open": _coordinates_open,
    "resize-antialias": _antialias_acts,
    "resize-antialias-open": _antialias_open,
    "resize-axes": _resize_axes,
    "resize-aspect-ratio": _aspect_ratio,
    "resize-cubic-settings": _cubic_settings,
    "resize-cubic": _cubic,
    "resize-rank": _resize_rank,
    "resize-rank-open": _resize_rank_open,
    "resize-inputs": _few_inputs,
    "resize-inputs-open": _few_inputs,
    "pad-axes": _pad_axes,
    "instance-norm-rank": _rank(0, lambda rank: rank not in {_NCHW, _NCHW + 1}),
    "scatter-nd-reduction": _reduction,
    "scatter-nd-reduction-open": _reduction,
    "scatter-elements-reduction": _reduction,
    "clip-no-bound": _no_bounds,
    "transpose-no-perm": _absent("perm"),
    "gather-nd-batch": _attribute("batch_dims", 0, bool),
    "arg-max-last": _attribute("select_last_index", 0, bool),
    "max-pool-indices": _pool_indices,
    "max-pool-dilations": _pool_dilations,
    "max-pool-large": _large_pool,
    "pool-same-lower": _pool_same_lower,
    "conv-kernel-shape": _absent("kernel_shape"),
    "conv-3d-auto-pad": _conv_3d_auto_pad,
    "conv-transpose-kernel-shape": _absent("kernel_shape"),
    "conv-transpose-leak": _after_output_shape,
    "reshape-zero": _zero_in_shape,
    "reshape-allowzero": _computed_shape,
    "constant-value": _absent("value"),
    "log-softmax-axis": _log_softmax_axis,
    "batch-norm-training": _attribute("training_mode", 0, bool),
    "grid-sample-rank": _rank(0, _known_but(_NCHW)),
    "grid-sample-defaults": _absent("mode", "padding_mode"),
    "global-max-pool-rank": _rank(0, _known_but(_NCHW)),
    "mean-broadcast": _shapes_differ,
    "einsum": _always,
    "prelu-slope": _slope_of_rank,
}
