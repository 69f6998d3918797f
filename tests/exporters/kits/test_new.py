"""Packages with a model of one's own: written, installed, exported through the gate, run, tested, removed."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import cv2
import pytest

import cvport
from cvport.errors import ArtifactError, UsageError
from cvport.exporters.commands.cvexport import cvexport
from cvport.exporters.gate.probes import scene
from cvport.exporters.kits.new import list_kinds, render_package, write_package
from cvport.models.registry import MODELS, is_known
from cvport.runtimes.commands.console import run_command
from cvport.runtimes.commands.cvrun import cvrun
from helpers.plugins import install

NAMES = {"detections": "my_shapes", "landmarks": "corners", "classes": "sorts"}
KEYS = {"detections": "detections", "landmarks": "faces", "classes": "scores"}


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A package of each kind, as `cvexport new` writes it."""
    folder = tmp_path_factory.mktemp("packages")
    for kind, name in NAMES.items():
        write_package(name, kind, folder)
    return folder


@pytest.fixture(scope="module")
def site(packages, tmp_path_factory):
    """A folder on the path that pip has installed all of them into."""
    site = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check", "--target"]
    command = [sys.executable, "-m", "pip", "install", *options, site, *(packages / name for name in NAMES.values())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH")))))
        yield site


def call(capsys, command, *arguments):
    capsys.readouterr()
    code = run_command(command, [str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_there_are_templates_for_each_kind():
    assert list_kinds() == sorted(NAMES)


@pytest.mark.parametrize("kind", NAMES)
def test_what_is_written(kind, packages):
    name = NAMES[kind]
    root = packages / name
    written = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    contents = render_package(name, kind)
    assert written == set(contents)
    parts = ("spec", "variant", "network", "preprocess", "postprocess", "plan", "recipe")
    assert {f"src/cvport_{name}/{part}.py" for part in parts} <= written
    assert {"pyproject.toml", "README.md", ".gitignore", "tests/test_model.py", "tests/test_postprocess.py"} <= written
    for path, text in contents.items():
        assert (root / path).read_text(encoding="utf-8") == text
        assert "$" not in text, path
        assert ".tmpl" not in path
    project = tomllib.loads(contents["pyproject.toml"])["project"]
    assert project["entry-points"]["cvport.models"] == {name: f"cvport_{name}.spec:SPEC"}
    assert any(entry.startswith("cvport[export]>=") for entry in project["dependencies"])


def test_what_is_written_is_lint_clean(packages):
    if shutil.which("ruff") is None and not (Path(sys.executable).parent / "ruff").is_file():
        pytest.skip("ruff is not installed")
    for arguments in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments, "--no-cache", packages],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_what_is_written_is_typed(packages):
    source = Path(cvport.__file__).resolve().parent / ".editable"
    settings = ["--strict", "--follow-imports=silent", "--ignore-missing-imports"]
    for name in NAMES.values():
        path = os.pathsep.join((str(packages / name / "src"), str(source)))
        done = subprocess.run(
            [sys.executable, "-m", "mypy", *settings, "-p", f"cvport_{name}"],
            capture_output=True,
            text=True,
            check=False,
            cwd=packages,
            env={**os.environ, "MYPYPATH": path},
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", NAMES)
def test_an_installed_package_is_exported_run_and_removed(kind, site, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    name = NAMES[kind]
    cv2.imwrite("a.png", scene(120, 160, seed=5))

    code, out, _ = call(capsys, cvexport, "list", "--json")
    listed = {entry["name"]: entry for entry in json.loads(out)}
    assert code == 0
    assert (listed[name]["package"], listed[name]["version"]) == (f"cvport-{name.replace('_', '-')}", "0.1.0")
    assert (listed[name]["kind"], listed[name]["reason"]) == (kind, None)
    assert call(capsys, cvexport, "show", name)[0] == 0

    code, out, err = call(capsys, cvexport, name, "--weights", "seeded", "--backends", "torch,onnx", "--json")
    assert code == 0, err
    record = json.loads(out)
    assert record["verdict"] == "passed"
    assert record["seal"]["tools"]["model"] == f"cvport-{name.replace('_', '-')} 0.1.0"

    code, out, err = call(capsys, cvrun, "-m", name, "--backend", "onnx", "--format", "json", "--save", "out", "a.png")
    assert code == 0, err
    (result,) = json.loads(out)["results"]
    assert (result["width"], result["height"]) == (160, 120)
    assert result[KEYS[kind]]
    assert Path("out/a_onnx.png").is_file()

    info = importlib.metadata.distribution(f"cvport-{name.replace('_', '-')}")
    with monkeypatch.context() as patch:
        hidden = tmp_path / "hidden"
        for path in {site / file.parts[0] for file in info.files or ()}:
            hidden.mkdir(exist_ok=True)
            path.rename(hidden / path.name)
        patch.delitem(sys.modules, f"cvport_{name}.spec")
        try:
            assert name not in call(capsys, cvexport, "list")[1]
            assert not is_known(name)
            package = f"cvport-{name.replace('_', '-')}"
            file = f"artifacts/{name}/{name}.onnx"
            for command in (
                (cvrun, "-m", file, "--backend", "onnx", "a.png"),
                (cvrun, "-m", name, "--backend", "onnx", "a.png"),
                (cvexport, "parity", file),
            ):
                code, _, err = call(capsys, *command)
                assert code == 4
                assert f"holds {name!r}, a model of {package} 0.1.0, which is not installed" in err
                assert f"pip install {package}" in err
        finally:
            for path in hidden.iterdir():
                path.rename(site / path.name)


def test_their_own_tests_pass(packages, site):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib"]
    done = subprocess.run([*command, packages], capture_output=True, text=True, check=False, cwd=packages)
    assert done.returncode == 0, done.stdout
    assert "27 passed" in done.stdout


def test_postprocessing_needs_numpy_alone(site):
    code = """
import sys
for name in sys.argv[1:]:
    __import__(f"cvport_{name}.postprocess")
print(sorted({"torch", "onnx", "onnxruntime", "cv2", "PIL"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code, *NAMES.values()], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- what is refused


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("yolox", "cvport itself has a model 'yolox'", "Give another name."),
        ("bench", "'bench' is a command of cvport", "Give another name."),
        ("rejected", "'rejected' is the folder of exports that failed", "Give another name."),
        ("my-model", "'my-model' is no name of a model", "Perhaps my_model."),
        ("My Model", "'My Model' is no name of a model", "Perhaps my_model."),
        ("../up", "'../up' is no name of a model", "Give another name."),
        ("7up", "'7up' is no name of a model", "Give another name."),
        ("", "'' is no name of a model", "Give another name."),
    ],
)
def test_names_that_a_model_cannot_have(name, message, hint, tmp_path):
    with pytest.raises(UsageError) as caught:
        write_package(name, "classes", tmp_path)
    assert caught.value.message.startswith(message)
    assert caught.value.hint == hint
    assert not list(tmp_path.iterdir())


def test_a_name_of_an_installed_package(tmp_path, monkeypatch):
    install(tmp_path / "site", "birds", {"bird": "plug_bird:SPEC"})
    install(tmp_path / "site", "cvport-great-tit", {"great_tit": "plug_tit:SPEC"})
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(UsageError, match="the package birds has a model 'bird'"):
        write_package("bird", "classes", tmp_path)
    # The same package again: an installation of it takes the place of the old one.
    assert write_package("great_tit", "classes", tmp_path)


def test_a_folder_that_exists_is_left_alone(tmp_path):
    (tmp_path / "birds").mkdir()
    (tmp_path / "birds/mine.txt").write_text("kept")
    with pytest.raises(UsageError, match="birds exists"):
        write_package("birds", "classes", tmp_path)
    assert [path.name for path in (tmp_path / "birds").iterdir()] == ["mine.txt"]


def test_an_unknown_kind(tmp_path):
    with pytest.raises(UsageError) as caught:
        write_package("birds", "detection", tmp_path)
    assert caught.value.hint == "Did you mean 'detections'?"


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ArtifactError, match="cannot write"):
        write_package("birds", "classes", tmp_path / "file")


def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(ArtifactError, match="No space left on device"):
        write_package("birds", "classes", tmp_path)
    assert not list(tmp_path.iterdir())


def test_folders_that_lack_are_made(tmp_path):
    paths = write_package("birds", "classes", tmp_path / "a/b")
    assert paths[0] == tmp_path / "a/b/birds/README.md"
    assert all(path.is_file() for path in paths)


def test_no_model_of_cvport_can_be_written(tmp_path):
    for name in MODELS:
        with pytest.raises(UsageError):
            write_package(name, "detections", tmp_path)
