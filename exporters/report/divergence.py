"""Where a file parts from its network: in a sentence, and as a curve."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# Below one rounding of float32 a curve is flat.
_LEAST = 2.0**-24


def describe_divergence(divergence: Mapping[str, Any]) -> str:
    """Return what a search found, in a sentence; empty where none was made."""
    if not divergence:
        return ""
    if divergence["verdict"] == "same":
        return "the file computes what the traced network does: what differs came before, in fusing or in its limits"
    first = divergence["first"]
    if first is None:
        return f"the two part in the {divergence['stage']}"
    between = f", or after {first['interval'][0]}, which is run together with it" if first["interval"] else ""
    module = f" of {first['module']}" if first["module"] else ""
    return (
        f"the two part at {first['op_type']} {first['node']}{module}{between}: it introduces "
        f"{float(first['introduced']):.3g}, limit {float(first['limit']):.3g}"
    )


def draw_curve(divergence: Mapping[str, Any], size: tuple[int, int]) -> dict[str, Any] | None:
    """Return an error curve as places in a drawing.

    Args:
        divergence: What a search found.
        size: (width, height) of the drawing, in pixels.

    Returns:
        ``points`` with x, y and a title each, from the first operator to the last, and the exponents of ten at the
        ``bottom`` and the ``top``; None where there is no curve.

    """
    curve = divergence.get("curve", [])
    if not curve:
        return None
    values = [min(max(float(point["max_rel"]), _LEAST), 1e30) if _is_number(point) else 1e30 for point in curve]
    bottom, top = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    width, height = size
    last = max(point["after"] for point in curve)
    points = [
        {
            "x": round(width * point["after"] / last, 1),
            "y": round(height * (1 - (math.log10(value) - bottom) / max(top - bottom, 1)), 1),
            "title": f"{point['node']}: {float(point['max_rel']):.2g}",
        }
        for point, value in zip(curve, values, strict=True)
    ]
    return {"points": points, "bottom": bottom, "top": top}


def _is_number(point: Mapping[str, Any]) -> bool:
    return not math.isnan(float(point["max_rel"]))
