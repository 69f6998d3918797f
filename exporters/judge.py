"""Judge a file that is there already: one of ours, published or altered since, or one that someone else exported."""

from __future__ import annotations

import copy
import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..models.registry import get_model
from ..models.spec import VariantOptions
from ..models.weights.digest import sha256_file
from ..runtimes.load import prepare_network
from ..runtimes.onnx_file import read_header
from ..runtimes.predictor import Predictor
from ..runtimes.seal import KEY, Seal, digest_fits, read_seal, sealed_model
from .export import make_seal
from .gate.foreign import RenamedBackend, check_shapes, compare_operators, read_model, read_names
from .gate.legs import Subject, choose_legs, run_legs, run_predictor
from .gate.probes import all_cases
from .gate.reference import make_reference
from .gate.structure import Structure, compare_structure, structure_of
from .gate.verify import verify
from .graphs.forms import add_tail
from .graphs.safe_forms import use_safe_forms
from .graphs.trace import tool_versions, trace
from .report.record import Record, make_record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import nn

    from ..models.spec import ModelSpec, Plan
    from ..runtimes.load import Prepared
    from .gate.foreign import Names
    from .gate.legs import Leg, LegRun


def judge_file(
    path: Path,
    weights: str | Path,
    *,
    model: str | None = None,
    mapping: Sequence[str] = (),
    options: VariantOptions | None = None,
    tolerances: Sequence[str] = (),
    probes: Sequence[Path] = (),
    offline: bool = False,
    cache_dir: Path | None = None,
    progress: Callable[[str], None] = lambda _step: None,
) -> Record:
    """Compare a file with the network of the weights; nothing is written.

    Args:
        path: The file. A sealed one is run as its seal says; any other is decoded with the model's defaults.
        weights: See `cvport.models.weights.files.open_weights`; of the digest that is sealed, where one is.
        model: For a file without a seal: the model's name.
        mapping: For a file without a seal: ``THEIRS=OURS`` for inputs and outputs that have other names.
        options: For a file without a seal: settings that cannot be inferred from the weights.
        tolerances: ``OUT:FIGURE=X`` overrides of the derived limits.
        probes: Folders of images to compare on, besides the built-in ones.
        offline: Never download.
        cache_dir: Where downloads are kept.
        progress: Called with the name of each step.

    Returns:
        The record; its verdict is "passed" or "failed".

    Raises:
        UsageError: An option does not fit the file, or names nothing in it.
        ArtifactError: The file is damaged, incomplete, or of a form that cannot be compared.
        WeightsError: The weights cannot be had, do not fit, or are not those of the file.

    """
    sealed = any(entry.key == KEY for entry in read_header(path).metadata)
    download: dict[str, Any] = {"offline": offline, "cache_dir": cache_dir}
    make: dict[str, Any] = {"tolerances": tolerances, "probes": probes, "progress": progress}
    if sealed:
        if model is not None or mapping or (options or VariantOptions()) != VariantOptions():
            raise UsageError("the file is sealed: its model, names and variant are in it", "Leave those options out.")
        seal = read_seal(path)
        progress("loading weights")
        prepared = prepare_network(sealed_model(seal, path), weights, None, seal=seal, path=path, **download)
        return _judge_sealed(path, seal, sealed_model(seal, path), prepared, **make)
    if model is None:
        raise UsageError(f"{path} has no seal that says what it is", "Name the model: --model NAME")
    spec = get_model(model)
    graph = read_model(path)
    names = read_names(graph, spec, mapping)
    options = options or VariantOptions()
    if names.input_size is not None:
        if options.input_size not in (None, names.input_size):
            raise UsageError(f"the file takes {names.input_size}, not {options.input_size}", "Leave --input-size out.")
        options = replace(options, input_size=names.input_size)
    progress("loading weights")
    prepared = prepare_network(spec, weights, options, **download)
    return _judge_foreign(path, graph, names, spec, prepared, **make)


def _judge_sealed(
    path: Path,
    seal: Seal,
    spec: ModelSpec,
    prepared: Prepared,
    *,
    tolerances: Sequence[str],
    probes: Sequence[Path],
    progress: Callable[[str], None],
) -> Record:
    """Compare a sealed file, as its export did, with what it was made from."""
    checkpoint, plan, network = prepared
    progress("tracing the network")
    structure = _structure(spec, network, seal.input_size, seal.batch, plan.postprocess)
    progress("running PyTorch")
    cases = all_cases(probes, seal.batch, boxes=spec.takes_boxes)
    reference = make_reference(spec.inner, plan, network, cases, untrained=checkpoint.untrained, tolerances=tolerances)
    progress("comparing")
    expected = make_seal(spec, checkpoint, plan, seal.batch, seal.tools)
    # What an older version sealed, and where weights came from, are no faults; a digest that does not fit is told.
    same = {name: getattr(seal, name) for name in ("schema_version", "title", "weights", "form", "probe", "digest")}
    subject = Subject(reference, network, path)
    runs = run_legs(subject, choose_legs(("torch", "onnx"), ()))
    consists = compare_structure(path, structure)
    sealed = json.loads(seal.to_json())
    verification = verify(json.loads(replace(expected, **same).to_json()), sealed, subject, runs, consists)
    notes = {
        False: ("the digest does not fit: the file was changed after its export",),
        None: ("the seal holds no digest: whether the file was changed after its export cannot be told",),
        True: (),
    }[digest_fits(path, seal)]
    return make_record(verification, sha256_file(path), plan.decided_by, notes)


def _judge_foreign(
    path: Path,
    graph: Any,  # noqa: ANN401
    names: Names,
    spec: ModelSpec,
    prepared: Prepared,
    *,
    tolerances: Sequence[str],
    probes: Sequence[Path],
    progress: Callable[[str], None],
) -> Record:
    """Compare a file of someone else's, decoded with the model's defaults."""
    checkpoint, plan, network = prepared
    progress("tracing the network")
    operators = _operators(spec, network, plan, names.batch)
    progress("running PyTorch")
    cases = all_cases(probes, names.batch, boxes=spec.takes_boxes)
    reference = make_reference(spec, plan, network, cases, untrained=checkpoint.untrained, tolerances=tolerances)
    progress("comparing")
    with RenamedBackend(path, names, spec) as backend:
        check_shapes(backend, reference)
        predictor = Predictor(spec, backend, plan.preprocess, plan.postprocess, plan.labels)

        def run(leg: Leg, subject: Subject) -> LegRun:
            return run_predictor(leg, predictor, subject.reference)

        subject = Subject(reference, network, path)
        runs = run_legs(subject, choose_legs(("torch", "onnx"), ()), instead={"onnx": run})
        consists = [compare_operators(graph, operators, names, reference)]
    seal = json.loads(make_seal(spec, checkpoint, plan, names.batch, tool_versions()).to_json())
    verification = verify(seal, None, subject, runs, consists)
    opsets = ", ".join(f"{entry.domain or 'ai.onnx'} {entry.version}" for entry in graph.opset_import)
    note = f"the file has no seal: it was decoded with the defaults of {spec.name}; its opset is {opsets}"
    return make_record(verification, sha256_file(path), plan.decided_by, (note,))


def _structure(
    spec: ModelSpec,
    network: nn.Module,
    size: tuple[int, int],
    batch: str | int,
    params: Any,  # noqa: ANN401
) -> Structure:
    form = spec.export_form(spec.fuse(network))
    traced = trace(form, spec.inner, size, batch)
    add_tail(traced, spec, params)
    safe = copy.deepcopy(traced)
    use_safe_forms(safe)
    return structure_of(form, safe, traced)  # older versions wrote the second


def _operators(spec: ModelSpec, network: nn.Module, plan: Plan, batch: str | int) -> Mapping[str, int]:
    """Return how often each operator is in the network's graph, as loaded or in its form for export."""
    loaded = Counter(node.op_type for node in trace(network, spec, plan.input_size, batch).graph.node)
    form = _structure(spec, network, plan.input_size, batch, plan.postprocess).operators
    return {kind: max(loaded.get(kind, 0), form.get(kind, 0)) for kind in {*loaded, *form}}
