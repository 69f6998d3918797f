"""Whether a guessed preprocessing convention fits the weights: what each convention finds in the same images.

A wrong convention passes every comparison, since both sides compute the same wrong thing. It finds nothing, or junk: a
network that sees what it was trained to see finds the same things in an image and in its mirror image, junk is not
found again.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ...runtimes.backends.registry import open_backend
from ...runtimes.parity.decoder import Decoder
from .kinds.registry import get_gate_kind
from .reference import decode_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ...models.results import Result
    from ...models.spec import ModelSpec, Plan, VariantOptions
    from ...runtimes.backends.base import Backend
    from ...runtimes.load import Prepared
    from .probes import Case

# A sum of scores from which on something was found: one clear detection is about 0.5 or more.
_SOMETHING = 0.5
# Part of the best convention's sum below which another has found nearly nothing.
_NEARLY_NOTHING = 0.2
# Conventions whose sums differ by less are as good as each other; the first of the model's list is named.
_AS_GOOD = 0.9


def check_convention(
    spec: ModelSpec, prepared: Prepared, options: VariantOptions | None, cases: Sequence[Case]
) -> tuple[str, ...]:
    """Return what there is to say about a guessed preprocessing convention; nothing where it was told or fits.

    Args:
        spec: The model.
        prepared: Its network and plan.
        options: What the user fixed.
        cases: Images to look at.

    """
    if prepared.checkpoint.untrained or "preprocess" not in prepared.plan.guesses:
        return ()
    found_in_both = get_gate_kind(spec.kind).found_in_both
    if found_in_both is None:
        return ()
    backend = open_backend("torch", spec.fuse(prepared.network), signature=spec.signature)
    images = [region.image for case in cases for region in case.regions]
    found = {}
    for convention, plan in spec.plan_each_convention(prepared.checkpoint, options).items():
        result = partial(_result, spec, plan, backend)
        sums = [found_in_both(result(image), result(_mirror(image)), image.shape[1]) for image in images]
        found[convention] = max(sum(sums), 0.0)
    return _judge(prepared.plan.preprocess.convention, found)


def _judge(guessed: str, found: dict[str, float]) -> tuple[str, ...]:
    """Return what the sums of scores that each convention finds say about the guessed one."""
    most = max(found.values())
    if most < _SOMETHING:
        return (
            f"preprocess {guessed} is a guess, and no image could tell: no convention finds anything for certain; "
            "give images that show what the network detects: --probes DIR",
        )
    if found.get(guessed, most) >= _NEARLY_NOTHING * most:
        return ()
    best = next(name for name, amount in found.items() if amount >= _AS_GOOD * most)
    told = ", ".join(f"{name} {amount:.2f}" for name, amount in found.items())
    return (
        f"preprocess {guessed} is a guess and looks wrong: it finds nearly nothing where {best} does "
        f"(sums of scores of what is found in an image and its mirror image: {told}); "
        f"export again with --preprocess {best}",
    )


def _mirror(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(image[:, ::-1])


def _result(spec: ModelSpec, plan: Plan, backend: Backend, image: NDArray[np.uint8]) -> Result:
    """Return what the network finds in one image when it is fed and read as *plan* says."""
    inputs, transform = spec.preprocess(image, plan.preprocess)
    outputs = backend.run({spec.input_name: inputs[None]})
    (result,) = decode_rows(Decoder(spec, plan.postprocess, plan.labels), outputs, [transform], [None])
    return result
