"""``cvrun check``: whether an exported file computes on this machine what its network computes."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ...errors import ParityFailed
from ...models.weights.digest import sha256_file
from ..backends.registry import choose_backend
from ..kinds.registry import get_kind
from ..kinds.text import padded
from ..load import find_exported_file, load, published_file
from ..parity.defaults import RECORD, default_limits, recorded_limits
from ..parity.judging import judge_tensor
from ..parity.limits import TensorLimit, share_of_limit
from ..probe import measure_probe, probe_input, read_probe
from ..sinks.base import SCHEMA_VERSION
from ..versions import library_versions
from .console import set_verbosity
from .options import SETTINGS, SectionedCommand, listed, session_options, verbosity_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ..predictor import Predictor

_EXAMPLES = """\b
Examples:
  cvrun check artifacts/yolox/yolox.onnx
  cvrun check yolox --json
  cvrun check artifacts/emotion/emotion.onnx --threads 2 --providers openvino
"""
_BACKEND = "onnx"
_CPU = "cpu"
# Shares of a limit from here on are multiples of it, for people.
_FAR = 10.0


@dataclass(frozen=True)
class _Row:
    """How far one output is from what is expected.

    Attributes:
        name: The output.
        max_abs: Largest difference, beyond what the rounding of the expected values explains; NaN where a value is
            not finite.
        largest: Largest magnitude that is expected.
        limit: What the difference may be.
        passed: Whether it is no larger.

    """

    name: str
    max_abs: float
    largest: float
    limit: float
    passed: bool

    @property
    def share(self) -> float:
        """The difference as a share of its limit; NaN where a value is not finite."""
        return share_of_limit("max_abs", self.max_abs, self.limit)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; what is not finite is null."""
        figures = {"max_abs": self.max_abs, "largest": self.largest, "limit": self.limit, "share": self.share}
        short = {name: float(f"{value:.6g}") if math.isfinite(value) else None for name, value in figures.items()}
        return {"name": self.name, **short}


@dataclass(frozen=True)
class _Outcome:
    """What a check found.

    Attributes:
        path: The file.
        sha256: Of its bytes.
        providers: What of ONNX Runtime ran its operators, the one with the most first.
        recorded: Whether the limits are those of its parity.json.
        rows: Its outputs.
        time_ms: Milliseconds from the start of the command.

    """

    path: Path
    sha256: str
    providers: Sequence[str]
    recorded: bool
    rows: Sequence[_Row]
    time_ms: float

    @property
    def verdict(self) -> str:
        """Whether every output is within its limit."""
        return "passed" if all(row.passed for row in self.rows) else "failed"

    @property
    def nearest(self) -> _Row:
        """The output that is nearest to its limit, or furthest beyond it."""
        return max(self.rows, key=lambda row: math.inf if math.isnan(row.share) else row.share)


@click.command(cls=SectionedCommand, epilog=_EXAMPLES, context_settings=SETTINGS)
@click.argument("file", metavar="FILE.onnx")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@session_options
@verbosity_options
def check(*, file: str, as_json: bool, threads: int | None, providers: str | None, quiet: bool, verbose: bool) -> None:
    """Check that an exported FILE computes on this machine what its network computes.

    The file is run on an image that is drawn by formula, and what comes out is compared with values that were sealed
    in it at the export. FILE may also be an artifact's folder or name. Neither the weights nor PyTorch are needed.
    """
    start = time.perf_counter()
    set_verbosity(quiet, verbose)
    choose_backend(_BACKEND, None, networks=False)
    path = find_exported_file(file) or published_file(file)
    # Named, so that where the operators run is recorded.
    named = listed(providers) or [_CPU]
    with load(path, backend=_BACKEND, threads=threads, providers=named) as predictor:
        outcome = _check(path, predictor, start)
        if predictor.assumed and not quiet:
            click.echo(f"assumed: {', '.join(predictor.assumed)}", err=True)
    click.echo(json.dumps(_document(outcome), indent=2) if as_json else "\n".join(_table(outcome)))
    if outcome.verdict != "passed":
        raise _failure(outcome, file, on_cpu=named == [_CPU])


def _check(path: Path, predictor: Predictor, start: float) -> _Outcome:
    """Run the probe of a file, and judge what comes out."""
    seal, spec, backend = predictor.seal, predictor.spec, predictor.backend
    assert seal is not None
    probe = read_probe(seal, spec.output_names, path)
    rows = 1 if isinstance(seal.batch, str) else seal.batch
    inputs = probe_input(spec, predictor.preprocess_params, seal.input_size, probe.seed, rows)
    outputs = backend.run({spec.input_name: inputs})
    sha256 = sha256_file(path)
    kind = get_kind(spec.kind)
    recorded = recorded_limits(path, kind, spec.output_names, _BACKEND, sha256)
    limits = recorded or default_limits(kind, spec.output_names, [backend.precision])
    found = []
    for name, stats in measure_probe(probe, outputs, rows, path).items():
        largest = probe.outputs[name].largest
        allowed = limits.tensors[name].allowed(largest)
        passed = judge_tensor(stats, TensorLimit(allowed)).verdict == "passed"
        found.append(_Row(name, stats.max_abs, largest, allowed, passed))
    milliseconds = 1000 * (time.perf_counter() - start)
    return _Outcome(path, sha256, _used(backend.settings), recorded is not None, found, milliseconds)


def _used(settings: Mapping[str, Any]) -> list[str]:
    """Return the providers that run operators, the one with the most first; all where this build does not tell."""
    placed: Mapping[str, int] = settings["placement"]
    return sorted(placed, key=lambda name: -placed[name]) or list(settings["providers"])


def _document(outcome: _Outcome) -> dict[str, Any]:
    """Return the JSON form of what was found."""
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": outcome.verdict,
        "file": str(outcome.path),
        "sha256": outcome.sha256,
        "provider": list(outcome.providers),
        "versions": library_versions(),
        "limits": RECORD if outcome.recorded else "defaults",
        "outputs": [row.to_dict() for row in outcome.rows],
        "time_ms": round(outcome.time_ms, 1),
    }


def _table(outcome: _Outcome) -> list[str]:
    """Return what was found as lines for people: the verdict and what is nearest to its limit first."""
    rows = outcome.rows
    columns = [
        ["output", *(row.name for row in rows)],
        ["difference", *(f"{row.max_abs:.2e}" for row in rows)],
        ["limit", *(f"{row.limit:.2e}" for row in rows)],
        ["share", *(_percent(row.share) for row in rows)],
        ["largest value", *(f"{row.largest:.4g}" for row in rows)],
    ]
    limits = f"limits of {RECORD}" if outcome.recorded else f"default limits: there is no {RECORD} of this file"
    versions = ", ".join(f"{name} {version}" for name, version in library_versions().items())
    return [
        f"{outcome.verdict}: {outcome.path}",
        f"nearest to its limit: {_nearest(outcome)}",
        f"{', '.join(outcome.providers)}; {versions}; {outcome.time_ms:.0f} ms",
        "",
        *("  ".join(cells).rstrip() for cells in zip(*map(padded, columns), strict=True)),
        limits,
    ]


def _nearest(outcome: _Outcome) -> str:
    row = outcome.nearest
    if math.isnan(row.max_abs):
        return f"{row.name} has values that are not finite"
    return f"{row.name} max abs {row.max_abs:.2e} of {row.limit:.3g} ({_percent(row.share)})"


def _percent(share: float) -> str:
    """Return a share of a limit; what is far beyond it as a multiple."""
    return f"{share:.1%}" if not share > _FAR else f"{share:.3g}x"


def _failure(outcome: _Outcome, file: str, *, on_cpu: bool) -> ParityFailed:
    """Return the error of a file that computes something else."""
    where = ", ".join(outcome.providers)
    hint = f"Look whether the CPU computes it: cvrun check {file}"
    if on_cpu:
        parity = f"cvexport parity {outcome.path} --weights W"
        hint = f"Try another version of onnxruntime, or compare the file with its network: {parity}"
    return ParityFailed(
        f"{outcome.path} does not compute on {where} what its network computes: {_nearest(outcome)}", hint
    )
