"""``python -m mutation run -o FOLDER`` plants faults, ``clean`` runs what has none, ``table`` sums up; ``search`` looks
whether `cvexport bisect` names the operator.

Each result is a line of FOLDER/SUBJECT.jsonl; what is there is not done again, so a study can be stopped and continued,
or shared out: ``--shard 2/4``.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import click
import numpy as np
import onnxruntime

from cvport.errors import CvportError
from cvport.exporters.export import verify_file
from cvport.exporters.gate import legs as legs_module
from cvport.exporters.gate.legs import LEGS, Subject
from cvport.exporters.gate.probes import Case
from cvport.exporters.gate.reference import make_reference
from cvport.exporters.gate.structure import compare_structure
from cvport.runtimes.job import Region
from mutation.plantings import ALWAYS_MATTER, PLANTINGS, NotHereError, clip, planted
from mutation.searches import Searched, search_clean, search_once
from mutation.subjects import SUBJECTS, inner_ranges

_PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "ihc.png", "retina.jpg")
_REASONS = {leg.name: "" if leg.backend in ("torch", "onnx") else "not asked for" for leg in LEGS}
_TIERS = ("run", "tensors", "decoded", "batches", "spread", "seal")


def photographs() -> list[np.ndarray]:
    import cv2
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    return [cv2.imread(str(folder / name)) for name in _PHOTOS]


class Study:
    """One subject, its reference computed once."""

    def __init__(self, name: str, folder: Path) -> None:
        self.made = SUBJECTS[name](0)
        self.name, self.work = name, folder / f".{name}"
        self.work.mkdir(parents=True, exist_ok=True)
        self.largest = inner_ranges(self.made)
        spec, params = self.made.spec, self.made.plan.preprocess
        self.photos = np.stack([spec.preprocess(image, params)[0] for image in photographs()])
        self.clean = self.outputs(self.made.onnx)

    def outputs(self, data: bytes):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        rows = [session.run(None, {self.made.spec.input_name: row[None]}) for row in self.photos]
        return [np.concatenate(values) for values in zip(*rows, strict=True)]

    def caught_by(self, data: bytes) -> dict[str, object]:
        """What of the gate sees a file, its structure and its outputs apart."""
        path = self.work / f"{self.made.spec.name}.onnx"
        path.write_bytes(data)
        structure = [
            entry.what for entry in compare_structure(path, self.made.structure) if entry.judgement.verdict != "passed"
        ]
        subject = Subject(self.made.reference, self.made.network, path)
        try:
            # Batches take most of the time: they are run where everything else has passed.
            with mock.patch.object(legs_module, "measure_batches", return_value=[]):
                tiers = failed_tiers(verify_file(path, subject, self.made.seal, _REASONS))
            if not tiers:
                tiers = failed_tiers(verify_file(path, subject, self.made.seal, _REASONS))
        except CvportError as error:
            tiers = [f"refused: {error.message[:80]}"]
        return {"structure": structure, "outputs": tiers}

    def effect(self, data: bytes) -> float:
        """The largest change on photographs, as a multiple of the usual limit; infinite where they cannot be run."""
        try:
            found = self.outputs(data)
        except Exception:
            return float("inf")
        worst = 0.0
        for name, before, after in zip(self.made.spec.output_names, self.clean, found, strict=True):
            if before.shape != after.shape or not np.isfinite(after).all():
                return float("inf")
            change = float(np.abs(before.astype(np.float64) - after).max())
            worst = max(worst, change / self.made.reference.limits.tensors[name].max_abs)
        return worst


def failed_tiers(verification) -> list[str]:
    failed = {entry.tier for entry in verification.comparisons if entry.judgement.verdict != "passed"}
    return [tier for tier in _TIERS if tier in failed]


@click.group()
def main() -> None:
    """Study what the gate sees."""


_subjects = click.option("--subjects", default=",".join(SUBJECTS), show_default=True)
_output = click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("mutation"), show_default=True)


@main.command()
@_subjects
@_output
@click.option("--count", default=200, show_default=True, help="Faults of each subject.")
@click.option("--shard", default="1/1", show_default=True, help="K/N: every N-th fault from the K-th on.")
def run(subjects: str, output: Path, count: int, shard: str) -> None:
    """Plant faults, one at a time, and look who sees them."""
    output.mkdir(parents=True, exist_ok=True)
    first, step = map(int, shard.split("/"))
    for name in subjects.split(","):
        place = output / f"{name}.jsonl"
        done = {entry["number"] for entry in read(place)}
        todo = [number for number in range(first - 1, count, step) if number not in done]
        if not todo:
            continue
        study = Study(name, output)
        kinds = (*PLANTINGS, *(clip(factor, study.largest) for factor in (1.02, 1.5, 2.0)))
        for number in todo:
            entry = plant(study, kinds, number)
            with place.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
            click.echo(
                f"{name} {number} {entry['planting']}: {entry['structure'] or '-'} {entry['outputs'] or '-'}", err=True
            )


def plant(study: Study, kinds, number: int) -> dict[str, object]:
    """The result of one fault; the kinds take turns, and one that finds no place leaves it to the next."""
    began = time.monotonic()
    for attempt in range(len(kinds)):
        planting = kinds[(number + attempt) % len(kinds)]
        try:
            data, where = planted(study.made.onnx, planting, [number, attempt])
            break
        except NotHereError:
            continue
    result = study.caught_by(data)
    effect = None if planting.sealed or ("tensors" in result["outputs"]) else study.effect(data)
    return {
        "number": number,
        "planting": planting.name,
        "where": where,
        **result,
        "effect": None if effect is None else (effect if np.isfinite(effect) else "inf"),
        "seconds": round(time.monotonic() - began, 2),
    }


@main.command()
@_subjects
@_output
@click.option("--seeds", default=4, show_default=True, help="Networks of each subject.")
def clean(subjects: str, output: Path, seeds: int) -> None:
    """Run files without a fault: on one thread and two, optimised and not, on flat images and photographs too."""
    output.mkdir(parents=True, exist_ok=True)
    place = output / "clean.jsonl"
    done = {(entry["subject"], entry["seed"]) for entry in read(place)}
    for name in subjects.split(","):
        for seed in range(seeds):
            if (name, seed) in done:
                continue
            entries = list(clean_runs(name, seed, output))
            with place.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(entry) + "\n" for entry in entries)
            click.echo(f"{name} {seed}: {[(entry['failed'], entry['worst']) for entry in entries]}", err=True)


def clean_runs(name: str, seed: int, output: Path):
    made = SUBJECTS[name](seed)
    flat = [np.full((240, 320, 3), value, np.uint8) for value in (0, 60, 128, 200, 255)]
    ramp = np.broadcast_to(np.linspace(0, 255, 320)[None, :, None], (240, 320, 3)).astype(np.uint8)
    cases = [Case(f"probe {i}", [Region(image)]) for i, image in enumerate([*flat, ramp, *photographs()])]
    more = make_reference(made.spec, made.plan, made.network, cases, untrained=True, tolerances=())
    folder = output / f".{name}"
    folder.mkdir(exist_ok=True)
    path = folder / f"{made.spec.name}.onnx"
    path.write_bytes(made.onnx)
    for threads in (1, 2):
        for optimised in (True, False):
            for probes, reference in (("built-in", made.reference), ("flat and photographs", more)):
                with sessions(threads, optimised=optimised):
                    subject = Subject(reference, made.network, path)
                    verification = verify_file(path, subject, made.seal, _REASONS, structure=made.structure)
                failed = [entry.to_dict() for entry in verification.comparisons if entry.judgement.verdict != "passed"]
                shares = {
                    figure: max(
                        float(entry.figures[figure]) / limit
                        for entry in verification.comparisons
                        if entry.tier == "tensors"
                        for key, limit in entry.limits.items()
                        if key == figure and limit
                    )
                    for figure in ("max_abs", "rms")
                }
                setting = {"threads": threads, "optimised": optimised, "probes": probes}
                worst = {figure: round(share, 3) for figure, share in shares.items()}
                yield {
                    "subject": name,
                    "seed": seed,
                    **setting,
                    "failed": [f"{e['tier']} {e['case']} {e['what']}" for e in failed],
                    "worst": worst,
                }


@contextmanager
def sessions(threads: int, *, optimised: bool):
    """Sessions of ONNX Runtime with other settings than cvport's own."""
    level = onnxruntime.GraphOptimizationLevel
    make = onnxruntime.InferenceSession

    def other(path, options, **more):
        options.intra_op_num_threads = threads
        options.graph_optimization_level = level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
        return make(path, options, **more)

    with mock.patch.object(onnxruntime, "InferenceSession", other):
        yield


def read(place: Path) -> list[dict]:
    return [json.loads(line) for line in place.read_text(encoding="utf-8").splitlines()] if place.exists() else []


@main.command()
@_subjects
@_output
@click.option("--count", default=100, show_default=True, help="Faults of each subject.")
def search(subjects: str, output: Path, count: int) -> None:
    """Plant faults in one of two legs, and look whether the search for where they part names the operator."""
    folder = output / "search"
    folder.mkdir(parents=True, exist_ok=True)
    for name in subjects.split(","):
        place = folder / f"{name}.jsonl"
        done = {entry["number"] for entry in read(place)}
        todo = [number for number in range(-1, count) if number not in done]
        searched = Searched(SUBJECTS[name](0)) if todo else None
        for number in todo:
            entry = {"number": number, **(search_clean(searched) if number < 0 else search_once(searched, number))}
            with place.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
            click.echo(f"{name} {entry}", err=True)
    entries = [{"subject": path.stem, **entry} for path in sorted(folder.glob("*.jsonl")) for entry in read(path)]
    click.echo("\n".join(search_table(entries)))


def search_table(entries: list[dict]) -> list[str]:
    """What was named, as a table in Markdown; faults that move no output by ten limits are counted apart."""
    lines = ["| file, fault | looked for | named | of two files | named | runs | s |", "|---|---|---|---|---|---|---|"]
    faults = [entry for entry in entries if entry["number"] >= 0]
    groups = {key: [e for e in faults if key in (e["subject"], e["fault"])] for e in faults for key in (e["subject"],)}
    groups |= {e["fault"]: [other for other in faults if other["fault"] == e["fault"]] for e in faults}
    for key, group in {**groups, "all": faults}.items():
        whole = [entry for entry in group if entry["result"] != "small"]
        files = [entry["file"] for entry in group if "file" in entry and entry["file"]["result"] != "small"]
        named = [sum(entry["result"] == "hit" for entry in part) for part in (whole, files)]
        spent = [np.median([entry[figure] for entry in whole]) if whole else 0 for figure in ("runs", "seconds")]
        cells = [len(whole), named[0], len(files), named[1], f"{spent[0]:.0f}", f"{spent[1]:.1f}"]
        lines.append(f"| {key} | {' | '.join(map(str, cells))} |")
    clean = [verdict for entry in entries if entry["number"] < 0 for verdict in entry["clean"]]
    return [*lines, "", f"clean pairs: {len(clean)}, the same: {clean.count('same')}"]


@main.command()
@_output
def table(output: Path) -> None:
    """Print what was caught, as tables in Markdown."""
    entries = [
        {"subject": path.stem, **entry}
        for path in sorted(output.glob("*.jsonl"))
        if path.stem != "clean"
        for entry in read(path)
    ]
    click.echo("| fault | planted | by structure | by outputs alone | seen by neither | of these matter |")
    click.echo("|---|---|---|---|---|---|")
    for name in dict.fromkeys(entry["planting"] for entry in entries):
        click.echo(row(name, [entry for entry in entries if entry["planting"] == name]))
    click.echo(row("all", entries))
    click.echo("")
    click.echo("| file | planted | by structure | by outputs alone | seen by neither | of these matter |")
    click.echo("|---|---|---|---|---|---|")
    for name in dict.fromkeys(entry["subject"] for entry in entries):
        click.echo(row(name, [entry for entry in entries if entry["subject"] == name]))
    runs = read(output / "clean.jsonl")
    failed = Counter(bool(entry["failed"]) for entry in runs)
    worst = [max((entry["worst"][figure] for entry in runs), default=0) for figure in ("max_abs", "rms")]
    click.echo(
        f"\nclean runs: {len(runs)}, failed: {failed[True]}, worst {worst[0]:.2f} of a limit, RMS {worst[1]:.2f}"
    )
    seconds = sum(entry["seconds"] for entry in entries)
    click.echo(f"{len(entries)} plantings, {seconds / 60:.0f} minutes")


def row(name: str, entries: list[dict]) -> str:
    """A line of the table; what changes photographs by more than a limit matters."""
    missed = [entry for entry in entries if not entry["structure"] and not entry["outputs"]]
    matter = [e for e in missed if e["effect"] is None or float(e["effect"]) > 1 or e["planting"] in ALWAYS_MATTER]
    counts = [len(entries), sum(bool(e["structure"]) for e in entries), sum(bool(e["outputs"]) for e in entries)]
    return f"| {name} | {' | '.join(map(str, [*counts, len(missed), len(matter)]))} |"


if __name__ == "__main__":
    main()
