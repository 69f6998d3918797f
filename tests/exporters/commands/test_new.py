"""``cvexport new``: what it prints, what it needs; plug-ins in ``cvexport list`` and ``all``."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from cvport import list_models
from cvport.exporters.commands import cvexport as cli
from cvport.exporters.commands.cvexport import cvexport
from cvport.models.plugins import COMMANDS
from cvport.models.registry import MODELS
from cvport.runtimes.commands.console import run_command
from helpers.plugins import install, spec


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder = tmp_path / "site"
    install(folder, "cvport-birds", {"bird": "plug_bird:SPEC"}, {"plug_bird": spec("bird")})
    install(folder, "cvport-fish", {"fish": "plug_fish:SPEC"}, {"plug_fish": "raise RuntimeError('no water')"})
    monkeypatch.syspath_prepend(folder)
    return folder


def test_the_files_on_stdout_and_the_next_steps_on_stderr(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_command(cvexport, ["new", "birds", "--kind", "classes"]) == 0
    captured = capsys.readouterr()
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert sorted(captured.out.split()) == written
    assert captured.err.splitlines()[1:] == [
        "next:",
        "  pip install -e ./birds",
        "  cvexport birds --weights seeded",
        "  cvrun -m birds --backend onnx image.jpg",
    ]


def test_another_folder_and_quiet(tmp_path, capsys):
    assert run_command(cvexport, ["new", "birds", "-o", str(tmp_path / "here"), "-q"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert str(tmp_path / "here/birds/pyproject.toml") in captured.out.split()


@pytest.mark.parametrize("arguments", [["yolox"], ["my-model"], ["new"], ["birds", "--kind", "poems"], []])
def test_what_cannot_be_written_is_a_usage_error(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_command(cvexport, ["new", *arguments]) == 2
    assert capsys.readouterr().out == ""
    assert not list(tmp_path.iterdir())


def test_the_base_install_can_write_a_package(tmp_path):
    code = """
import sys
from cvport.exporters.commands.cvexport import cvexport
from cvport.runtimes.commands.console import run_command
assert run_command(cvexport, ["new", "birds", "-q", "-o", sys.argv[1]]) == 0
print(sorted({"torch", "onnx", "onnxscript", "onnxsim", "transformers", "jinja2"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_no_model_can_be_called_like_a_command():
    assert set(cvexport.commands) <= COMMANDS


def test_list_shows_packages_and_reasons(site, capsys):
    assert run_command(cvexport, ["list"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert list(lines) == [*MODELS, "bird", "fish"]
    assert lines["bird"].endswith("no known address  cvport-birds 1.2")
    assert "finds birds" in lines["bird"]
    assert "cannot be used: importing 'plug_fish:SPEC' fails: RuntimeError: no water" in lines["fish"]
    assert lines["fish"].endswith("cvport-fish 1.2")


def test_list_as_json(site, capsys):
    assert run_command(cvexport, ["list", "--json"]) == 0
    entries = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert list(entries) == [*MODELS, "bird", "fish"]
    assert entries["fish"]["reason"].endswith("no water")
    assert entries["bird"]["package"] == "cvport-birds"
    assert entries["yolox"]["hub"] == "ms:damo/cv_yolox-pai_hand-detection"


def test_help_names_them_without_importing_any(site, capsys):
    (site / "plug_bird.py").write_text("import time; time.sleep(600)")
    assert run_command(cvexport, ["--help"]) == 0
    assert "bird, fish" in " ".join(capsys.readouterr().out.split())


def test_all_exports_them_and_tells_what_is_left_out(site, monkeypatch, capsys):
    asked = []

    def export(name, **_settings):
        asked.append(name)
        raise cli.UsageError("not here")

    monkeypatch.setattr(cli, "export", export)
    run_command(cvexport, ["all", "--weights", "seeded"])
    assert asked == [*MODELS, "bird"] == list_models()
    err = capsys.readouterr().err
    assert "left out fish of cvport-fish 1.2: importing 'plug_fish:SPEC' fails: RuntimeError: no water" in err


@pytest.mark.parametrize("arguments", [["fish", "--weights", "seeded"], ["show", "fish"]])
def test_a_broken_model_that_is_asked_for(site, arguments, capsys):
    assert run_command(cvexport, arguments) == 2
    err = capsys.readouterr().err
    assert "error: the model 'fish' of cvport-fish 1.2 cannot be used: importing 'plug_fish:SPEC' fails" in err
    assert "pip uninstall cvport-fish" in err


def test_a_broken_model_that_is_run(site, capsys):
    from cvport.runtimes.commands.cvrun import cvrun

    assert run_command(cvrun, ["-m", "fish", "--backend", "onnx", "a.png"]) == 2
    assert "the model 'fish' of cvport-fish 1.2 cannot be used" in capsys.readouterr().err
