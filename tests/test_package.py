"""The package as such: nothing of it is left out, and its parts import no more than they need."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from importlib import import_module
from pathlib import Path

import cvport
import pytest

ROOT = Path(cvport.__file__).parent
HEAVY = {
    "torch",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "onnxsim",
    "transformers",
    "cv2",
    "PIL",
    "rich",
    "numpy",
    "click",
}
NO_CODE = {"artifacts", "build", "dist", "tests"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def python(code: str, *args: object) -> str:
    """Run *code* in a fresh interpreter and return what it prints."""
    command = [sys.executable, "-c", code, *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def imported_by(code: str, *args: object) -> set[str]:
    """Return the top-level packages that are loaded after *code* has run."""
    last = python(f"{code}\nimport sys; print(*sys.modules)", *args).splitlines()[-1]
    return {name.partition(".")[0] for name in last.split()}


@cache
def sources() -> tuple[Path, ...]:
    """Return every Python file that belongs to the package."""
    folders = [path for path in ROOT.iterdir() if path.is_dir() and path.name not in NO_CODE and path.name[0] != "."]
    return (*ROOT.glob("*.py"), *(path for folder in folders for path in folder.rglob("*.py")))


def package_folders() -> set[str]:
    """Return the folders that hold Python files, by their names as packages."""
    return {".".join(("cvport", *path.relative_to(ROOT).parts[:-1])) for path in sources()}


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports, relative ones with their dots and lazy ones included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Constant) and re.fullmatch(r"\.[.\w]+:\w+", str(node.value)):
            found.add(node.value.partition(":")[0])
    return found


# --- what is installed


def test_every_package_is_listed():
    listed = PROJECT["tool"]["setuptools"]["packages"]
    assert set(listed) == package_folders()
    assert len(set(listed)) == len(listed)
    assert listed == sorted(listed)


def test_every_package_has_an_init():
    for name in package_folders():
        assert (ROOT.joinpath(*name.split(".")[1:]) / "__init__.py").is_file(), name


def test_wheel_holds_every_module_and_the_mark_of_types(tmp_path):
    source = tmp_path / "source"
    leave = shutil.ignore_patterns(".*", "tests", "artifacts", "build", "dist", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, ignore=leave)
    build = "import os, sys; os.chdir(sys.argv[1]); from setuptools import build_meta as b; print(b.build_wheel('out'))"
    name = python(build, source).splitlines()[-1]
    with zipfile.ZipFile(source / "out" / name) as wheel:
        inside = {entry for entry in wheel.namelist() if ".dist-info/" not in entry}
        entry_points = next(entry for entry in wheel.namelist() if entry.endswith("entry_points.txt"))
        scripts = wheel.read(entry_points).decode()
    modules = {path.relative_to(ROOT).as_posix() for path in sources()}
    assert inside == {f"cvport/{module}" for module in (*modules, "py.typed")}
    assert "cvexport = cvport.exporters.commands.cvexport:main" in scripts
    assert "cvrun = cvport.runtimes.commands.cvrun:main" in scripts


def test_version_is_the_one_of_the_project():
    assert cvport.__version__ == PROJECT["project"]["version"]


def test_imports_inside_are_relative():
    for path in sources():
        assert not any(name.partition(".")[0] == "cvport" for name in imports(path)), path


@pytest.mark.parametrize(("folder", "above"), [("models", {"runtimes", "exporters"}), ("runtimes", {"exporters"})])
def test_imports_run_one_way(folder, above):
    """exporters -> runtimes -> models, for type checking and in functions too."""
    paths = [path for path in sources() if path.relative_to(ROOT).parts[0] == folder]
    assert len(paths) > 5
    for path in paths:
        assert not any(above & set(name.split(".")) for name in imports(path)), path


# --- the public names


def test_public_names_resolve():
    for name in cvport.__all__:
        assert getattr(cvport, name) is not None
        assert name in vars(cvport), "fetched once"
    assert cvport.load is import_module("cvport.runtimes.predictor").load
    assert cvport.export is import_module("cvport.exporters.export").export
    assert issubclass(cvport.WeightsError, cvport.CvportError)


def test_public_names_of_design_are_there():
    needed = {"load", "export", "get_model", "list_models", "draw", "Detections", "CvportError"}
    assert needed <= set(cvport.__all__)
    errors = vars(import_module("cvport.errors")).values()
    assert {kind.__name__ for kind in errors if isinstance(kind, type) and issubclass(kind, Exception)} <= set(
        cvport.__all__
    )


def test_public_names_are_listed_the_same_way_for_type_checkers():
    text = Path(cvport.__file__).read_text(encoding="utf-8")
    block = text[text.index("if TYPE_CHECKING:") : text.index("__version__")]
    assert set(re.findall(r"\b\w+\b(?=,?$|,)", re.sub(r"from \S+ import \(?", "", block), re.M)) == set(cvport.__all__)
    assert list(cvport.__all__) == sorted(cvport.__all__)


def test_dir_names_everything_before_it_is_fetched():
    assert set(cvport.__all__) <= set(dir(cvport))
    fresh = python("import cvport; print(*dir(cvport))").split()
    assert set(cvport.__all__) <= set(fresh)
    assert fresh == sorted(fresh)


def test_unknown_name():
    with pytest.raises(AttributeError, match="module 'cvport' has no attribute 'laod'"):
        cvport.laod  # noqa: B018
    assert not hasattr(cvport, "train")


# --- the weight of an import


def test_import_is_light():
    assert imported_by("import cvport; cvport.__version__; dir(cvport)") & HEAVY == set()


def test_names_and_errors_are_light():
    code = "import cvport; cvport.list_models(); cvport.UsageError; cvport.VariantOptions(); cvport.get_model('yolox')"
    assert imported_by(code) & HEAVY == set()


def test_preprocessing_adds_opencv_only():
    assert imported_by("import cvport.models.yolox.preprocess") & HEAVY == {"numpy", "cv2"}


def test_plan_of_a_model_needs_no_torch():
    assert imported_by("import cvport.models.yolox.plan") & HEAVY == {"numpy", "cv2"}


ONLY = """
import sys

allowed = {*sys.stdlib_module_names, *sys.argv[1].split(",")}

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in allowed:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Block())
"""


def test_postprocessing_works_with_numpy_alone():
    code = """
import json
import numpy as np
from cvport.models.yolox.postprocess import ImageTransform, PostprocessParams, postprocess

outputs = {}
for level, side in enumerate((8, 4, 2)):
    outputs[f"cls_{level}"] = np.full((1, 2, side, side), -9, np.float32)
    outputs[f"reg_{level}"] = np.zeros((1, 4, side, side), np.float32)
    outputs[f"obj_{level}"] = np.full((1, 1, side, side), -9, np.float32)
outputs["cls_1"][0, 1, 2, 3] = outputs["obj_1"][0, 0, 2, 3] = 9
(found,) = postprocess(outputs, [ImageTransform(120, 100, 0.5)], PostprocessParams(), ("face", "hand"))
print(json.dumps(found.to_dict()))
"""
    (row,) = json.loads(python(ONLY + code, "numpy,cvport"))["detections"]
    assert row["label"] == "hand"
    assert row["score"] == pytest.approx(1, abs=1e-3)
    assert row["box"] == [80.0, 48.0, 112.0, 80.0]


def test_blocking_blocks():
    done = subprocess.run(
        [sys.executable, "-c", ONLY + "import cvport.models.yolox.preprocess", "numpy,cvport"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ImportError: cv2 is blocked" in done.stderr


RUN = """
import sys
from cvport.runtimes.commands.cvrun import cvrun
from cvport.runtimes.commands.console import run_command
assert run_command(cvrun, sys.argv[1:]) == 0
"""


@pytest.mark.parametrize("extra", [(), ("--save", "out", "--format", "json", "-v")])
def test_running_on_onnx_imports_neither_torch_nor_onnx(nano_artifact, tmp_path, monkeypatch, extra):
    import cv2
    from cvport.exporters.gate.probes import scene

    monkeypatch.chdir(tmp_path)
    cv2.imwrite("a.png", scene(40, 60, seed=0))
    loaded = imported_by(RUN, "-m", nano_artifact.onnx, "--backend", "onnx", *extra, "a.png")
    assert loaded & HEAVY == {"numpy", "cv2", "PIL", "onnxruntime", "click"}


def test_running_on_onnx_works_without_torch_and_onnx(nano_artifact, tmp_path, monkeypatch):
    import cv2
    from cvport.exporters.gate.probes import scene

    monkeypatch.chdir(tmp_path)
    cv2.imwrite("a.png", scene(40, 60, seed=0))
    allowed = "numpy,cv2,PIL,onnxruntime,click,cvport,flatbuffers,google,coloredlogs,sympy,packaging,defusedxml"
    code = ONLY + "sys.argv.pop(1)\n" + RUN
    out = python(code, allowed, "-m", nano_artifact.onnx, "--backend", "onnx", "a.png")
    assert out.startswith("a.png  60x40  ")
