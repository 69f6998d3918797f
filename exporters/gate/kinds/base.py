"""What the gate needs to know about a kind of result besides `runtimes.kinds`: where its limits come from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ....models.results import Result
    from ....models.spec import ModelSpec
    from ....runtimes.backends.base import Array
    from ....runtimes.parity.limits import DecodedLimit

# Figures seen where networks of these kinds run on Ascend devices, against their CPUs.
SEEN_ON_DEVICES = "the best of the public deployments of these models on Ascend devices, against their CPUs"


@dataclass(frozen=True)
class Decoder:
    """A model's postprocessing with its parameters and labels."""

    spec: ModelSpec
    params: Any
    labels: Sequence[str]

    def __call__(
        self,
        outputs: Mapping[str, Array],
        transform: Any,  # noqa: ANN401
        *,
        best: int | None = None,
        **changes: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Decode one row of a batch, with some parameters changed; *best* as `Postprocess` tells."""
        params = replace(self.params, **changes)
        choice = {} if best is None else {"best": best}
        (result,) = self.spec.postprocess(outputs, [transform], params, self.labels, **choice)
        return result


class Decode(Protocol):
    """`Decoder` for one image, whose place in the network input is fixed: a row of outputs -> its result."""

    def __call__(  # noqa: D102
        self,
        outputs: Mapping[str, Array],
        *,
        best: int | None = None,
        **changes: Any,  # noqa: ANN401
    ) -> Any: ...  # noqa: ANN401


@dataclass(frozen=True)
class GateKind:
    """Where the limits of one kind of result come from.

    Attributes:
        derive: (decode, a row of exact outputs, the same row rounded, safety) -> limits, from what rounding does.
        device: What an accelerator's results may differ by, whatever its rounding.
        vary: (decode, a row of the reference's outputs, its best, parameters, limits) -> the reference's results with
            each threshold moved by its tolerance.
        candidates: Number of best candidates that untrained networks and empty images are compared on; None where
            a result is never empty.
        found_in_both: (result of an image, result of its mirror image, width in pixels) -> the sum of scores of what is
            found in both, less that of what is found in one alone; None where a result says nothing about whether the
            network sees well.

    """

    derive: Callable[[Decode, Mapping[str, Array], Mapping[str, Array], float], DecodedLimit]
    device: DecodedLimit
    vary: Callable[..., Sequence[Result]] = lambda *_: ()
    candidates: int | None = None
    found_in_both: Callable[[Any, Any, int], float] | None = None
