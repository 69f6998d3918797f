"""parity.json: everything about one comparison, as a typed value. A report needs nothing else.

`parity.schema.json` beside this module describes it. Version 1, which had the NPU's comparisons in a part of their own,
is read too.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, cast

from ...errors import ArtifactError
from ...models.fields import short
from ...runtimes.parity.limits import widest_limits
from ...runtimes.parity.verdicts import Judgement
from ...runtimes.plain_json import read_plain
from ..gate.evidence import describe, limits_to_dict
from ..gate.stored import told_as_damage
from ..gate.verify import Comparison
from .tables import pair_tables
from .text import render

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from jsonschema import Draft202012Validator

    from ...runtimes.parity.verdicts import Verdict
    from ..gate.legs import LegRun
    from ..gate.verify import Verification

SCHEMA_VERSION = 2
_PACKAGES = (
    "cvport",
    "torch",
    "torch_npu",
    "transformers",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "onnxsim",
    "numpy",
    "opencv-python-headless",
    "pillow",
)


@dataclass(frozen=True)
class Entry:
    """One compared thing.

    Attributes:
        legs: The two legs, such as "torch-onnx"; one where it is about one, none for the seal.
        tier: "seal", "structure", "algebra", "run", "spread", "tensors", "batches" or "decoded".
        case: Name of the case.
        what: The output, the image, or the sealed field.
        figures: Measured figures by name.
        verdict: "passed", "failed" or "uninformative".
        reasons: Why it did not pass.
        borderline: What was within tolerance of a threshold.
        counts: Whether it decides the verdict of the whole.
        limits: What figures were allowed to be, by their names; empty in older records.
        rows: A row for each compared item of a result, figures by name; empty in older records.
        histogram: How many values differ by how much, see `error_histogram`; empty in older records.

    """

    legs: str
    tier: str
    case: str
    what: str
    figures: Mapping[str, Any]
    verdict: str
    reasons: tuple[str, ...] = ()
    borderline: tuple[str, ...] = ()
    counts: bool = True
    limits: Mapping[str, float] = field(default_factory=dict)
    rows: tuple[Mapping[str, Any], ...] = ()
    histogram: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, without the rows and the histogram that there are none of."""
        content = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: value for name, value in content.items() if value or name not in ("rows", "histogram")}


@dataclass(frozen=True)
class LegEntry:
    """What became of one leg.

    Attributes:
        status: "ran", "failed" or "not run".
        reason: Why it did not run, or failed.
        device: What it ran on.
        precision: Precision of its backend; empty for the default.
        counts: Whether its comparisons decide the verdict.
        against: The legs that it was compared with.
        verdict: Verdict of its comparisons; empty where there are none.
        limits: What it may differ by, where it was compared.
        settings: What its numbers depend on.
        simulated: Whether the device was a simulation, which says nothing about a real one.
        captured: SHA-256 of the capture that it was taken from; empty where it ran beside the others.
        captured_on: Environment of the machine where it was captured.

    """

    status: str
    reason: str = ""
    device: str = ""
    precision: str = ""
    counts: bool = True
    against: tuple[str, ...] = ()
    verdict: str = ""
    limits: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    simulated: bool = False
    captured: str = ""
    captured_on: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, without what is empty."""
        always = ("status", "counts")
        return {name: value for name, value in asdict(self).items() if value or name in always}


@dataclass(frozen=True)
class Record:
    """The content of a parity.json.

    Attributes:
        model: Name of the model.
        title: The variant in a few words.
        untrained: Whether the weights are made up.
        onnx_sha256: SHA-256 of the file.
        verdict: "passed" or "failed".
        created: UTC time, ISO 8601.
        legs: What became of each leg, by its name.
        decided_by: For each thing that the weights do not tell, who decided it.
        environment: Versions and machine.
        seal: What the file was meant to say about itself.
        noise_floor: The reference's own rounding error, by output.
        limits: What the exported file may differ by in cases of the usual rounding.
        cases: What was compared on, but for the images themselves.
        comparisons: Everything that was compared.
        notes: What a reader should know before trusting results, such as a guess that looks wrong.
        algebra: How far the network's form for export is from it in float64, by output.
        divergence: Of a file that failed, where it parts from its network, as `cvexport bisect` says it with the error
            curve; empty where that was not looked for.

    """

    model: str
    title: str
    untrained: bool
    onnx_sha256: str
    verdict: str
    created: str
    legs: Mapping[str, LegEntry]
    decided_by: Mapping[str, str]
    environment: Mapping[str, str]
    seal: Mapping[str, Any]
    noise_floor: Mapping[str, Any]
    limits: Mapping[str, Any]
    cases: tuple[Mapping[str, Any], ...]
    comparisons: tuple[Entry, ...]
    notes: tuple[str, ...] = ()
    algebra: Mapping[str, Any] = field(default_factory=dict)
    divergence: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        content = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        content["legs"] = {name: leg.to_dict() for name, leg in self.legs.items()}
        content["comparisons"] = [entry.to_dict() for entry in self.comparisons]
        if not self.divergence:
            del content["divergence"]
        plain: dict[str, Any] = _json_safe({"schema_version": SCHEMA_VERSION, **content})
        return plain

    def to_json(self) -> str:
        """Return the text of a parity.json."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Record:
        """Return the record of a JSON form of this version or the first.

        Raises:
            KeyError, TypeError, AttributeError: It is none.

        """
        content = dict(content)
        if content.pop("schema_version") == 1:
            content = _from_version_1(content)
        content["legs"] = {name: LegEntry(**_tuples(leg)) for name, leg in content["legs"].items()}
        content["comparisons"] = tuple(Entry(**_tuples(entry)) for entry in content["comparisons"])
        content["cases"] = tuple(content["cases"])
        content["notes"] = tuple(content.get("notes", ()))
        return cls(**content)


def make_record(
    verification: Verification, onnx_sha256: str, decided_by: Mapping[str, str], notes: tuple[str, ...] = ()
) -> Record:
    """Return the record of a comparison.

    Args:
        verification: What came out of it.
        onnx_sha256: SHA-256 of the file.
        decided_by: For each thing that the weights do not tell, who decided it.
        notes: See `Record`.

    """
    seal = verification.seal
    return Record(
        model=seal["model"],
        title=seal["title"],
        untrained=bool(seal["weights"]["untrained"]),
        onnx_sha256=onnx_sha256,
        verdict=verification.verdict,
        created=_now().isoformat(timespec="seconds"),
        legs={run.leg.name: leg_entry(verification, run) for run in verification.legs},
        decided_by=dict(decided_by),
        environment=environment(),
        seal=dict(seal),
        comparisons=comparison_entries(verification),
        notes=notes,
        **describe(verification.reference),
    )


def comparison_entries(verification: Verification) -> tuple[Entry, ...]:
    """Return everything that was compared, as recorded."""
    return tuple(Entry(**entry.to_dict()) for entry in verification.comparisons)


def comparison_of(entry: Entry) -> Comparison:
    """Return the comparison that an entry records."""
    judgement = Judgement(cast("Verdict", entry.verdict), entry.reasons, entry.borderline)
    legs = tuple(entry.legs.split("-", 1)) if entry.legs else ()
    about = (legs, entry.tier, entry.case, entry.what, entry.figures, judgement, entry.counts, entry.limits)
    return Comparison(*about, entry.rows, entry.histogram)


def leg_entry(verification: Verification, run: LegRun) -> LegEntry:
    """Return what became of one leg, as recorded."""
    leg, limits = run.leg, verification.limits.get(run.leg.name)
    return LegEntry(
        status=run.status,
        reason=run.reason,
        device=run.device,
        precision=leg.precision or "",
        counts=leg.counts,
        against=leg.against if run.ran else (),
        verdict=verification.verdict_of(leg.name) if limits is not None else "",
        limits={} if limits is None else limits_to_dict(widest_limits(limits)),
        settings=run.settings,
        simulated=bool(run.settings.get("simulated")),
        captured=run.captured,
        captured_on=run.environment,
    )


def _now() -> datetime:
    """Return the time, or the one that SOURCE_DATE_EPOCH fixes (reproducible-builds.org, specification)."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH", "")
    return datetime.fromtimestamp(int(fixed), UTC) if fixed.isdecimal() else datetime.now(UTC)


def environment() -> dict[str, str]:
    """Return what the comparison ran on: versions of what is installed, and machine."""
    versions = {}
    for name in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {**versions, "python": platform.python_version(), "system": platform.system(), "machine": platform.machine()}


def read_record(path: Path) -> Record:
    """Read a parity.json.

    Raises:
        ArtifactError: It is missing, damaged, or of another schema.

    """
    again = "Export the model again: cvexport MODEL"
    try:
        content: dict[str, Any] = read_plain(path.read_text(encoding="utf-8"))
        version = content["schema_version"]
    except FileNotFoundError as error:
        raise ArtifactError(f"no such file: {path}", again) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"cannot read {path}: {error}", again) from error
    if type(version) is not int or version not in (1, SCHEMA_VERSION):
        raise ArtifactError(
            f"{path} has schema {short(version)}, this version reads 1 and {SCHEMA_VERSION}",
            "Use the cvport version that made it, or export again.",
        )
    with told_as_damage(path, again):
        if version == SCHEMA_VERSION:
            _check_schema(content)
        record = Record.from_dict(content)
        if version != SCHEMA_VERSION:
            _check_schema(record.to_dict())
        # What the schema cannot say: that all figures are there which the tables show.
        render(record, verbose=True)
        pair_tables(record)
    return record


def _check_schema(content: Mapping[str, Any]) -> None:
    """Refuse, with a ValueError, what `parity.schema.json` does not describe."""
    from jsonschema.exceptions import best_match  # takes 0.1 s, and an export reads no record

    error = best_match(_validator().iter_errors(content))
    if error is not None:
        place = "/".join(map(str, error.absolute_path))
        raise ValueError(f"{place or 'it'}: {error.message:.200}")


@cache
def _validator() -> Draft202012Validator:
    from jsonschema import Draft202012Validator

    text = files(__package__).joinpath("parity.schema.json").read_text(encoding="utf-8")
    return Draft202012Validator(json.loads(text))


def _from_version_1(content: dict[str, Any]) -> dict[str, Any]:
    """Return a record of version 1 in the form of this one."""
    legs = {name: dict(leg) for name, leg in content["legs"].items()}
    comparisons = list(content["comparisons"])
    legs["onnx"] |= {"against": ["torch"], "limits": content["limits"]}
    if npu := content.pop("npu", None):
        simulated = legs["npu"].get("simulated", False)
        for precision, name in (("strict", "npu"), ("production", "npu-production")):
            legs[name] = {
                "status": "ran",
                "device": legs["npu"].get("device", ""),
                "precision": precision,
                "counts": precision == "strict",
                "against": ["torch", "onnx"],
                "limits": npu["limits"][precision],
                "settings": npu["settings"][precision],
                "simulated": simulated,
                "captured": legs["npu"].get("captured", ""),
                "captured_on": npu.get("captured_on", {}),
            }
        comparisons += [
            {**entry, "legs": f"{entry['legs']}-production", "counts": False}
            for entry in npu["production"]["comparisons"]
        ]
    for name, leg in legs.items():
        known = {entry.name for entry in fields(LegEntry)}
        legs[name] = {key: value for key, value in leg.items() if key in known}
        if leg.get("against"):
            own = [entry for entry in comparisons if entry["legs"].partition("-")[2] == name]
            legs[name]["verdict"] = "failed" if any(entry["verdict"] != "passed" for entry in own) else "passed"
    cases = [
        {**{key: value for key, value in case.items() if key != "pictures"}, "images": case["pictures"]}
        for case in content["cases"]
    ]
    floor = {
        name: {key: value for key, value in stats.items() if key != "reference_std"}
        for name, stats in content["noise_floor"].items()
    }
    return {**content, "legs": legs, "comparisons": comparisons, "cases": cases, "noise_floor": floor}


def _tuples(content: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}


def _json_safe(value: Any) -> Any:  # noqa: ANN401
    """Return JSON's own types; NaN and infinities, which JSON has no numbers for, become strings."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_safe(item) for item in value]
    return value
