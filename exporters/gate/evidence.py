"""The reference of a comparison as arrays and JSON, written and read back: for captures and rejected exports."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from ...runtimes.job import Region
from ...runtimes.parity.decoder import Decoder
from ...runtimes.parity.limits import Limits, TensorLimit
from ...runtimes.seal import read_params, recorded_model
from .reference import CaseReference, Reference, decode_rows
from .rounding import algebra_from_dict, decoded_from_dict, numbers, stats_from_dict
from .stored import check_array, check_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...runtimes.backends.base import Array

# Of decoded results; the toolkit takes the best 100.
_MOST_CANDIDATES = 10_000


def evidence_arrays(reference: Reference) -> dict[str, Any]:
    """Return the images, network inputs and outputs of every case by name."""
    arrays: dict[str, Any] = {}
    for i, case in enumerate(reference.cases):
        arrays[f"{i}/input"] = case.inputs
        arrays |= {f"{i}/output/{name}": value for name, value in case.outputs.items()}
        arrays |= {f"{i}/picture/{j}": region.image for j, region in enumerate(case.regions)}
    return arrays


def describe(reference: Reference) -> dict[str, Any]:
    """Return the JSON form of all else: ``cases``, ``noise_floor``, ``limits`` and ``algebra``."""
    return {
        "cases": [
            {
                "name": case.name,
                "images": [
                    {"height": region.image.shape[0], "width": region.image.shape[1]} for region in case.regions
                ],
                "best": case.best,
                "boxes": [None if region.box is None else [float(x) for x in region.box] for region in case.regions],
                "limits": limits_to_dict(case.limits),
            }
            for case in reference.cases
        ],
        "noise_floor": {name: asdict(stats) for name, stats in reference.floor.items()},
        "limits": limits_to_dict(reference.limits),
        "algebra": {} if reference.algebra is None else reference.algebra.to_dict(),
    }


def rebuild_reference(arrays: Mapping[str, Any], described: Mapping[str, Any], seal: Mapping[str, Any]) -> Reference:
    """Return the reference as it was: its inputs and outputs as stored, its results decoded from them again.

    Args:
        arrays: From `evidence_arrays`.
        described: From `describe`.
        seal: What the exported file was meant to say about itself.

    Raises:
        ArtifactError: The model or its parameters cannot be used.
        ValueError, TypeError, LookupError, AttributeError: The arrays or the description are not what they should be;
            see `told_as_damage`.

    """
    spec = recorded_model(seal, "the evidence")
    preprocess_type, postprocess_type = spec.params_types
    preprocess = read_params(preprocess_type, seal["preprocess"], "the recorded preprocessing")
    postprocess = read_params(postprocess_type, seal["postprocess"], "the recorded postprocessing")
    decoder = Decoder(spec, postprocess, tuple(seal["labels"]))
    names = spec.output_names
    common = _covering(limits_from_dict(described["limits"], spec.kind), names)
    cases = []
    for i, entry in enumerate(described["cases"]):
        inputs, outputs, regions = _stored_case(arrays, i, entry, names, preprocess.input_size)
        transforms = [spec.preprocess(region.image, preprocess, **region.place())[1] for region in regions]
        results = decode_rows(decoder, outputs, transforms, entry["best"])
        limits = _covering(limits_from_dict(entry["limits"], spec.kind), names) if "limits" in entry else common
        made = (str(entry["name"]), regions, inputs, transforms, outputs, results, entry["best"], limits)
        cases.append(CaseReference(*made))
    if not any(case.regions for case in cases):
        raise ValueError("there is no case with an image")
    floor = {name: stats_from_dict(described["noise_floor"][name]) for name in names}
    return Reference(decoder, preprocess, cases, floor, common, algebra_from_dict(described.get("algebra") or {}))


def _covering(limits: Limits, names: Sequence[str]) -> Limits:
    """Return limits that are about these outputs and no others."""
    if set(limits.tensors) != set(names):
        raise ValueError(f"limits are about {sorted(limits.tensors)}, the outputs are {sorted(names)}")
    return limits


def _stored_case(
    arrays: Mapping[str, Any], index: int, entry: Mapping[str, Any], names: Sequence[str], size: tuple[int, int]
) -> tuple[Array, dict[str, Array], list[Region]]:
    """Return the network inputs, the outputs and the regions of a case, which have to fit each other."""
    inputs = check_array(f"{index}/input", arrays[f"{index}/input"], np.float32, (None, 3, *size))
    outputs = {}
    for name in names:
        value = arrays[f"{index}/output/{name}"]
        outputs[name] = check_array(name, value, np.float32, (len(inputs), *([None] * (value.ndim - 1))))
        first = arrays[f"0/output/{name}"]
        if value.shape[1:] != first.shape[1:]:
            raise ValueError(f"{name} has the shapes {first.shape} and {value.shape}")
    boxes, best = entry["boxes"], entry["best"]
    if len(boxes) != len(best) or len(boxes) not in (0, len(inputs)):
        raise ValueError(f"case {index} has {len(inputs)} inputs, {len(boxes)} boxes and {len(best)} counts")
    if not all(count is None or (type(count) is int and 0 < count <= _MOST_CANDIDATES) for count in best):
        raise ValueError(f"case {index} takes the best {best}")
    for box in boxes:
        if box is not None:
            check_numbers(f"a box of case {index}", dict(zip("xyXY", box, strict=True)))
    images: list[Any] = [
        check_array(f"{index}/picture/{j}", arrays[f"{index}/picture/{j}"], np.uint8, (None, None, 3))
        for j in range(len(boxes))
    ]
    return inputs, outputs, [Region(image, box) for image, box in zip(images, boxes, strict=True)]


def limits_to_dict(limits: Limits) -> dict[str, Any]:
    """Return the JSON form of limits."""
    tensors = {name: asdict(limit) for name, limit in limits.tensors.items()}
    return {"tensors": tensors, "decoded": asdict(limits.decoded)}


def limits_from_dict(content: Mapping[str, Any], kind: str) -> Limits:
    """Return the limits that `limits_to_dict` wrote, of a kind of result."""
    tensors = {name: TensorLimit(**numbers(limit)) for name, limit in content["tensors"].items()}
    return Limits(tensors, decoded_from_dict(content["decoded"], kind))
