"""The stages around the network: whether what a file says about them is what its model does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...models.spec import VariantOptions
from ...runtimes.parity.limits import SMALLEST_RELATIVE
from .inputs import built_in_images

if TYPE_CHECKING:
    from .pairs import Pair


def stage_before(pair: Pair) -> str | None:
    """Return "preprocess" if what is sealed makes another input of an image than the model itself does."""
    if pair.sealed is None or pair.prepared is None:
        return None
    spec, _ = pair.sealed
    sealed, own = pair.prepared.plan, _own_plan(pair)
    if sealed.preprocess == own.preprocess:
        return None
    for image in built_in_images():
        first, second = (spec.preprocess(image, plan.preprocess)[0] for plan in (own, sealed))
        if first.shape != second.shape or abs(first - second).max() > SMALLEST_RELATIVE * abs(first).max():
            return "preprocess"
    return None


def stage_after(pair: Pair) -> str | None:
    """Return "postprocess" if what is sealed decodes otherwise than the model itself does."""
    if pair.sealed is None or pair.prepared is None:
        return None
    return None if pair.prepared.plan.postprocess == _own_plan(pair).postprocess else "postprocess"


def _own_plan(pair: Pair) -> Any:  # noqa: ANN401
    """Return what the model itself would do, with the choices that the file states."""
    assert pair.sealed is not None
    assert pair.prepared is not None
    spec, seal = pair.sealed
    options = VariantOptions(
        input_size=None if spec.stride is None else seal.input_size,
        activation=seal.variant.get("activation") if spec.activations else None,
        preprocess=seal.preprocess.get("convention") if spec.conventions else None,
    )
    return spec.plan(pair.prepared.checkpoint, options)
