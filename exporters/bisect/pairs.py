"""The pairs of legs that a search can be made between: a table. A new one is a row."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import ArtifactError, UsageError, WeightsError
from ...models.lazy import import_torch
from ...runtimes.backends.registry import open_backend
from ...runtimes.load import prepare_network
from ...runtimes.onnx_file import read_header
from ...runtimes.seal import KEY, read_seal, sealed_model
from ..gate.capture_file import Capture, check_belongs
from ..gate.rounding import DEVICE_SAFETY
from ..graphs.nodes import modules_of
from ..graphs.trace import trace_program
from .inputs import batch_of, drawn_inputs, network_inputs
from .lean import read_lean
from .sides import FileSide, NetworkSide
from .taps import CapturedSide

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...models.spec import ModelSpec
    from ...runtimes.backends.base import Array
    from ...runtimes.load import Prepared
    from ...runtimes.seal import Seal
    from .sides import ReferenceSide, Side

UNOPTIMISED = "onnx:unoptimised"


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        path: The file that is looked at.
        against: The other leg.
        weights: Of the network, where one is needed.
        download: How weights are fetched.
        opened: What has to be closed in the end.

    """

    path: Path
    against: str
    weights: str | Path | None
    download: Mapping[str, Any]
    opened: ExitStack = field(repr=False)


class Pair(NamedTuple):
    """Two legs.

    Attributes:
        reference: Taken for right.
        candidate: The one that is looked at.
        file: One of them, or what both were made into: its operators are those that are named.
        inputs: Network inputs to look with, by their names, each (1, 3, H, W) float32.
        factor: How many times further limits are.
        sealed: The model and the seal of the file, where it has one.
        prepared: The network, where there is one.
        simulated: Whether a device is a simulation.
        captured: Whether the candidate is stored: it is searched where its values are, and nowhere else.

    """

    reference: ReferenceSide
    candidate: Side
    file: FileSide
    inputs: list[dict[str, Array]]
    factor: float = 1.0
    sealed: tuple[ModelSpec, Seal] | None = None
    prepared: Prepared | None = None
    simulated: bool = False
    captured: bool = False


def open_pair(request: Request) -> Pair:
    """Return the two legs that are asked for.

    Raises:
        UsageError: There is no such leg, or the file has no seal where one is needed.
        WeightsError: The weights are missing, or not those of the file.
        ArtifactError: A file is damaged, or the two have no names in common.

    """
    kind = request.against.partition(":")[0] if request.against != UNOPTIMISED else UNOPTIMISED
    known: dict[str, Callable[[Request], Pair]] = {
        "torch": _with_network,
        UNOPTIMISED: _unoptimised,
        "npu": _on_device,
    }
    if kind in known:
        return known[kind](request)
    for ending, pair in ((".onnx", _two_files), (".npz", _with_capture)):
        if request.against.lower().endswith(ending):
            return pair(request)
    raise UsageError(
        f"there is no leg {request.against!r} to compare with",
        f"Known: torch, {UNOPTIMISED}, npu, npu:N, CAPTURE.npz, OTHER.onnx.",
    )


def pair_with_network(path: Path, spec: ModelSpec, seal: Seal, prepared: Prepared) -> Pair:
    """Return a network, and the file that was made from it."""
    side = _network_side(spec, seal, prepared)
    candidate = _file_side(path, modules_of(path) or side.modules)
    inputs = network_inputs(spec, prepared.plan, batch_of(candidate.model))
    return Pair(side, candidate, candidate, inputs, sealed=(spec, seal), prepared=prepared)


def _with_network(request: Request) -> Pair:
    return pair_with_network(request.path, *_network_of(request))


def _network_of(request: Request) -> tuple[ModelSpec, Seal, Prepared]:
    """Return the network that the weights of a request give, with what the file says about itself."""
    seal = _seal(request.path)
    if request.weights is None:
        raise WeightsError(
            f"--against {request.against} needs the weights that {request.path.name} was made from",
            f"Give them with --weights, or look at the file alone: --against {UNOPTIMISED}",
        )
    spec = sealed_model(seal, request.path)
    if spec.inner is not spec:
        raise UsageError(
            f"{request.path.name} goes on after what its network gives, which cannot be searched in PyTorch",
            f"Search the form {spec.inner.form} of the same weights, or compare files: --against OTHER.onnx",
        )
    return spec, seal, prepare_network(spec, request.weights, None, seal=seal, path=request.path, **request.download)


def _network_side(spec: ModelSpec, seal: Seal, prepared: Prepared) -> NetworkSide:
    form = spec.export_form(spec.fuse(prepared.network))
    return NetworkSide(trace_program(form, spec, seal.input_size, seal.batch).exported_program, spec.signature)


def _file_side(path: Path, modules: Mapping[str, str], *, optimised: bool = True) -> FileSide:
    model, weights = read_lean(path)
    return FileSide(model, modules, weights, optimised=optimised)


def _unoptimised(request: Request) -> Pair:
    """Return the file as ONNX Runtime runs it, and as it is written."""
    modules = modules_of(request.path)
    reference, candidate = (_file_side(request.path, modules, optimised=optimised) for optimised in (False, True))
    return Pair(reference, candidate, candidate, drawn_inputs(candidate.model))


def _two_files(request: Request) -> Pair:
    """Return two files whose values have the same names."""
    modules = modules_of(request.path)
    reference, candidate = (_file_side(path, modules) for path in (Path(request.against), request.path))
    if (reference.network.inputs, reference.network.outputs) != (candidate.network.inputs, candidate.network.outputs):
        raise ArtifactError(
            f"{request.path} and {request.against} have other inputs or outputs",
            "Compare files of one network, whose values have the same names.",
        )
    return Pair(reference, candidate, candidate, drawn_inputs(candidate.model))


def _on_device(request: Request) -> Pair:
    """Return the network on the CPU, and on an NPU."""
    torch = import_torch()
    backend = request.opened.enter_context(
        open_backend("npu", torch.nn.Identity(), device=request.against, precision="strict")
    )
    spec, seal, prepared = _network_of(request)
    reference = _network_side(spec, seal, prepared)
    candidate = NetworkSide(reference.program, spec.signature, backend.device)
    file = _file_side(request.path, modules_of(request.path) or reference.modules)
    inputs = network_inputs(spec, prepared.plan)
    simulated = bool(backend.settings.get("simulated"))
    return Pair(reference, candidate, file, inputs, DEVICE_SAFETY, (spec, seal), prepared, simulated)


def _with_capture(request: Request) -> Pair:
    """Return the file, and what a device far away had inside the same network."""
    seal, capture = _seal(request.path), Capture.read(Path(request.against))
    check_belongs(capture, json.loads(seal.to_json()), request.path, same_file=False)
    reference = _file_side(request.path, modules_of(request.path))
    candidate = CapturedSide(capture, reference.outputs)
    if not candidate.values & reference.values:
        raise ArtifactError(
            f"{request.path} and {request.against} have no values of the same names",
            f"Export and capture with the same version of torch; captured with {capture.meta['environment']}.",
        )
    settings = capture.meta["npu"]["settings"]["strict"]
    simulated = bool(settings.get("simulated"))
    return Pair(reference, candidate, reference, [candidate.input], DEVICE_SAFETY, simulated=simulated, captured=True)


def _seal(path: Path) -> Seal:
    if not any(entry.key == KEY for entry in read_header(path).metadata):
        raise UsageError(
            f"{path} has no seal that says what network it is", "Compare it with another file: --against X.onnx"
        )
    return read_seal(path)
