"""Whether a guessed preprocessing convention fits the weights: what each convention finds in the same images.

A wrong convention passes every comparison, since both sides compute the same wrong thing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...models.spec import VariantOptions
from ...runtimes.backends.registry import open_backend
from .kinds.base import Decoder
from .kinds.registry import get_gate_kind
from .reference import decode_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...models.results import Result
    from ...models.spec import ModelSpec, Plan
    from ...runtimes.backends.base import Backend
    from ...runtimes.load import Prepared
    from .probes import Case

# A sum of scores from which on a convention has found something, and the part of the best one's sum below which
# another has found nearly nothing. One clear detection is about 0.5 or more.
_SOMETHING = 0.5
_NEARLY_NOTHING = 0.2


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
    measure = get_gate_kind(spec.kind).amount
    if prepared.checkpoint.untrained or measure is None or "preprocess" not in prepared.plan.guesses:
        return ()
    found = {}
    backend = open_backend("torch", spec.fuse(prepared.network), signature=spec.signature)
    for convention in spec.conventions:
        plan = spec.plan(prepared.checkpoint, replace(options or VariantOptions(), preprocess=convention))
        found[convention] = sum(measure(result) for result in _results(spec, plan, backend, cases))
    guessed = prepared.plan.preprocess.convention
    best = max(found, key=lambda name: found[name])
    told = ", ".join(f"{name} {amount:.2f}" for name, amount in found.items())
    if found[best] < _SOMETHING:
        return (
            f"preprocess {guessed} is a guess, and no image could tell: no convention finds anything in them; "
            "give images that show what the network detects: --probes DIR",
        )
    if found[guessed] < _NEARLY_NOTHING * found[best]:
        return (
            f"preprocess {guessed} is a guess and looks wrong: it finds nearly nothing where {best} does "
            f"(sum of scores: {told}); export again with --preprocess {best}",
        )
    return ()


def _results(spec: ModelSpec, plan: Plan, backend: Backend, cases: Sequence[Case]) -> list[Result]:
    """Return what the network finds in all cases when it is fed and read as *plan* says."""
    decoder = Decoder(spec, plan.postprocess, plan.labels)
    results: list[Result] = []
    for case in cases:
        prepared = [spec.preprocess(region.image, plan.preprocess, **region.place()) for region in case.regions]
        outputs = backend.run({spec.input_name: np.stack([array for array, _ in prepared])})
        results += decode_rows(decoder, outputs, [frame for _, frame in prepared], [None] * len(prepared))
    return results
