"""The reference of a comparison as arrays and JSON, written and read back: for captures and rejected exports."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ...runtimes.job import Region
from ...runtimes.parity.decoder import Decoder
from ...runtimes.parity.limits import Limits, TensorLimit
from ...runtimes.seal import read_params, recorded_model
from .reference import CaseReference, Reference, decode_rows
from .rounding import algebra_from_dict, decoded_from_dict, numbers, stats_from_dict

if TYPE_CHECKING:
    from collections.abc import Mapping


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

    """
    spec = recorded_model(seal, "the evidence")
    preprocess_type, postprocess_type = spec.params_types
    preprocess = read_params(preprocess_type, seal["preprocess"], "the recorded preprocessing")
    postprocess = read_params(postprocess_type, seal["postprocess"], "the recorded postprocessing")
    decoder = Decoder(spec, postprocess, tuple(seal["labels"]))
    common = limits_from_dict(described["limits"], spec.kind)
    cases = []
    for i, entry in enumerate(described["cases"]):
        outputs = {name: arrays[f"{i}/output/{name}"] for name in spec.output_names}
        regions = [Region(arrays[f"{i}/picture/{j}"], box) for j, box in enumerate(entry["boxes"])]
        transforms = [spec.preprocess(region.image, preprocess, **region.place())[1] for region in regions]
        results = decode_rows(decoder, outputs, transforms, entry["best"])
        limits = limits_from_dict(entry["limits"], spec.kind) if "limits" in entry else common
        made = (entry["name"], regions, arrays[f"{i}/input"], transforms, outputs, results, entry["best"], limits)
        cases.append(CaseReference(*made))
    floor = {name: stats_from_dict(stats) for name, stats in described["noise_floor"].items()}
    return Reference(decoder, preprocess, cases, floor, common, algebra_from_dict(described.get("algebra") or {}))


def limits_to_dict(limits: Limits) -> dict[str, Any]:
    """Return the JSON form of limits."""
    tensors = {name: asdict(limit) for name, limit in limits.tensors.items()}
    return {"tensors": tensors, "decoded": asdict(limits.decoded)}


def limits_from_dict(content: Mapping[str, Any], kind: str) -> Limits:
    """Return the limits that `limits_to_dict` wrote, of a kind of result."""
    tensors = {name: TensorLimit(**numbers(limit)) for name, limit in content["tensors"].items()}
    return Limits(tensors, decoded_from_dict(content["decoded"], kind))
