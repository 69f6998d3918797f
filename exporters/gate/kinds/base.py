"""What the gate needs to know about a kind of result besides `runtimes.kinds`: where its limits come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ....runtimes.backends.base import Array
    from ....runtimes.parity.decoder import Decode
    from ....runtimes.parity.limits import DecodedLimit

# Figures seen where networks of these kinds run on Ascend devices, against their CPUs.
SEEN_ON_DEVICES = "the best of the public deployments of these models on Ascend devices, against their CPUs"


@dataclass(frozen=True)
class GateKind:
    """Where the limits of one kind of result come from.

    Attributes:
        derive: (decode, a row of exact outputs, the same row rounded, safety) -> limits, from what rounding does.
        device: What an accelerator's results may differ by, whatever its rounding.
        candidates: Number of best candidates that untrained networks and empty images are compared on; None where
            a result is never empty.
        found_in_both: (result of an image, result of its mirror image, width in pixels) -> the sum of scores of what is
            found in both, less that of what is found in one alone; None where a result says nothing about whether the
            network sees well.

    """

    derive: Callable[[Decode, Mapping[str, Array], Mapping[str, Array], float], DecodedLimit]
    device: DecodedLimit
    candidates: int | None = None
    found_in_both: Callable[[Any, Any, int], float] | None = None
