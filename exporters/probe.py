"""Makes the probe of a file: what the network, in float64, computes from the image of `runtimes.probe`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..runtimes.probe import MOST_VALUES, Probe, probe_input, sample
from .gate.memory import trim
from .gate.rounding import run_exactly

if TYPE_CHECKING:
    from torch import nn

    from ..models.spec import ModelSpec, Plan

_SEED = 1


def make_probe(spec: ModelSpec, plan: Plan, network: nn.Module) -> dict[str, Any] | None:
    """Return the probe of a network for its seal, as JSON; the same on every machine.

    Args:
        spec: The model, whose preprocessing is used.
        plan: Its parameters and the input size.
        network: As loaded, in eval mode; it is converted to float64 and back.

    Returns:
        None where the network computes no finite values: the comparison that follows refuses it, and says why.

    """
    inputs = probe_input(spec, plan.preprocess, plan.input_size, _SEED)
    (outputs,) = run_exactly(network, [inputs])
    trim()
    if not all(np.isfinite(values).all() for values in outputs.values()):
        return None
    count = max(MOST_VALUES // len(outputs), 1)
    samples = {name: sample(outputs[name], count, _SEED) for name in spec.output_names}
    return Probe(_SEED, samples).to_dict()
