"""``cvexport all``, ``list`` and ``show``: every model, one table, the right exit code."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import pytest

from cvport import BackendError, ParityFailed, ParityIncomplete, WeightsError, get_model, list_models
from cvport.exporters.commands import cvexport as cli
from cvport.exporters.commands import parity
from cvport.exporters.commands.cvexport import cvexport
from cvport.exporters.export import Artifact
from cvport.exporters.report.record import Record
from cvport.runtimes.commands.console import run_command


def limits(out):
    return {"tensors": {"out": {"max_abs": out, "rtol": 0.0, "derived": ""}}, "decoded": {"prob": 0.1, "derived": ""}}


def compared(legs, max_abs):
    figures = {"max_abs": max_abs, "max_rel": 0.1, "mean_abs": 0.0, "cosine": 1.0}
    place = {"legs": legs, "tier": "tensors", "case": "a", "what": "out"}
    return {**place, "figures": figures, "verdict": "passed", "reasons": [], "borderline": [], "counts": True}


RECORD = {
    "schema_version": 2,
    "title": "a network",
    "verdict": "passed",
    "untrained": True,
    "onnx_sha256": "0" * 64,
    "created": "",
    "decided_by": {},
    "environment": {},
    "seal": {},
    "noise_floor": {},
    "cases": [],
    "notes": [],
    "limits": limits(2e-4),
    "legs": {
        "torch": {"status": "ran", "counts": True},
        "onnx": {"status": "ran", "counts": True, "against": ["torch"], "limits": limits(2e-4)},
        "npu-production": {"status": "ran", "counts": False, "against": ["torch"], "limits": limits(1.0)},
    },
    "comparisons": [compared("torch-onnx", 5e-5), {**compared("torch-npu-production", 9.0), "counts": False}],
}


@pytest.fixture
def all_models(monkeypatch, capsys):
    """Run `cvexport all` with the exports stood in for; *outcomes* are errors by model, the others pass."""

    def call(outcomes, *arguments):
        calls = []

        def export(name, **settings):
            calls.append((name, settings))
            if name in outcomes:
                raise outcomes[name]
            folder = Path(settings["output"]) / name
            return Artifact(folder, folder / f"{name}.onnx", "7/7 tensors", {"model": name, **RECORD})

        monkeypatch.setattr(cli, "export", export)
        code = run_command(cvexport, ["all", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err, calls

    return call


def test_all_models_in_one_table(all_models):
    code, out, err, calls = all_models(
        {}, "--weights", "seeded:3", "-o", "there", "--batch", "2", "--backends", "torch,onnx"
    )
    assert code == 0
    assert [name for name, _ in calls] == list_models()
    assert {settings["weights"] for _, settings in calls} == {"seeded:3"}
    assert {(settings["batch"], *settings["backends"]) for _, settings in calls} == {(2, "torch", "onnx")}
    heading, *rows = out.splitlines()
    assert heading.split("  ")[0] == "model"
    assert len(rows) == len(list_models())
    assert rows[0].split() == [
        *("yolox", "passed", "0", "25%", "(out)", "untrained,", "7/7", "tensors"),
        "there/yolox/yolox.onnx",
    ]
    assert [line for line in err.splitlines() if line.startswith("exporting")] == [
        f"exporting {n}" for n in list_models()
    ]


def test_failures_do_not_stop_the_others_and_the_worst_is_the_exit_code(all_models):
    outcomes = {
        "yolox": WeightsError("no network", "Give a file."),
        "hand_static": ParityFailed("it differs"),
        "emotion": WeightsError("no network either"),
    }
    code, out, err, calls = all_models(outcomes, "-q")
    assert code == 6
    assert len(calls) == len(list_models())
    rows = {line.split()[0]: line for line in out.splitlines()[1:]}
    assert "not exported  4" in rows["yolox"]
    assert rows["yolox"].endswith("no network")
    assert "failed" in rows["hand_static"]
    assert "passed" in rows["nanodet"]
    assert "error: yolox: no network\n  Give a file." in err


@pytest.mark.parametrize(
    ("error", "code"), [(ParityIncomplete("no leg"), 7), (BackendError("no torch"), 5), (WeightsError("none"), 4)]
)
def test_exit_code_of_one_failure_is_its_own(all_models, error, code):
    assert all_models({"nanodet": error})[0] == code


def test_all_as_json(all_models):
    code, out, _, _ = all_models({"landmarks68": WeightsError("no address")}, "--json", "-q")
    content = {row["model"]: row for row in json.loads(out)}
    assert code == 4
    assert content["landmarks68"] == {
        "model": "landmarks68",
        "verdict": "not exported",
        "code": 4,
        "message": "no address",
    }
    assert content["yolox"]["onnx"] == "artifacts/yolox/yolox.onnx"


def test_one_checkpoint_is_not_for_all(all_models):
    code, _, err, calls = all_models({}, "--weights", "nano.pth")
    assert (code, calls) == (2, [])
    assert "do not share" in err


def test_list_and_show_tell_what_the_spec_holds(capsys):
    assert run_command(cvexport, ["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, line in zip(list_models(), lines, strict=True):
        spec = get_model(name)
        assert line.split()[0] == name
        assert spec.task in line
        assert (spec.hub or "no known address") in line
        assert run_command(cvexport, ["show", name]) == 0
        shown = capsys.readouterr().out
        told = [spec.task, spec.outputs, spec.sizes, spec.input_name, spec.kind, *spec.labels, *spec.conventions]
        told += [label for labels in spec.label_lists.values() for label in labels] + list(spec.label_lists)
        told += [chinese for names in spec.translations.values() for chinese in names.values()]
        for text in (*told, *spec.activations):
            assert text in shown, (name, text)


def test_options_before_the_model_are_told_with_the_command_to_use(capsys):
    assert run_command(cvexport, ["--weights", "my nano.pth", "yolox", "--opset", "18"]) == 2
    error = capsys.readouterr().err
    assert "error: --weights stands before yolox, which it belongs to" in error
    assert "cvexport yolox --weights 'my nano.pth' --opset 18" in error
    assert run_command(cvexport, ["--nonsense"]) == 2
    assert "No such option" in capsys.readouterr().err


def test_a_record_of_untrained_weights_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(parity, "require_whole", lambda _path: None)
    record = {**RECORD, "model": "yolox"}
    record["seal"] = {"input_size": [64, 64], "preprocess": {}, "variant": {}, "labels": [], "weights": {}}
    (tmp_path / "yolox.onnx").write_bytes(b"")
    monkeypatch.setattr(parity, "read_record", lambda _path: Record.from_dict(record))
    assert run_command(cvexport, ["parity", str(tmp_path / "yolox.onnx")]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "a network  (untrained weights)"


def test_help_names_what_an_export_lacks_here(monkeypatch, capsys):
    versions = importlib.metadata.version

    def version(package):
        if package in ("torch", "onnxsim"):
            raise importlib.metadata.PackageNotFoundError
        return versions(package)

    assert run_command(cvexport, ["--help"]) == 0
    assert "Not installed here" not in capsys.readouterr().out
    monkeypatch.setattr(importlib.metadata, "version", version)
    assert run_command(cvexport, ["--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Not installed here: torch, onnxsim, which an export needs: pip install 'cvport[export]'" in shown
