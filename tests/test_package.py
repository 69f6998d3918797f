"""The package as such: nothing of it is left out, and its parts import no more than they need."""

import ast
import json
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest

import cvport
from helpers.distributions import build, checkout_files, copy_checkout

ROOT = Path(cvport.__file__).resolve().parent
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
NO_CODE = {"artifacts", "build", "dist", "tests", "tools"}
DATA = "templates"  # a folder of this name holds no modules, whatever its files end in
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
    inside = (path for folder in folders for path in folder.rglob("*.py"))
    return (*ROOT.glob("*.py"), *(path for path in inside if DATA not in path.relative_to(ROOT).parts))


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


class Distributions(NamedTuple):
    """What is built from a checkout.

    Attributes:
        files: Of the checkout, those that git does not ignore.
        sdist: The files of the source distribution.
        wheel: The files of the wheel that is built from the unpacked source distribution.
        unzipped: The wheel's folder.
        checkout: A copy of the checkout.
        made: The wheel itself.

    """

    files: frozenset[str]
    sdist: frozenset[str]
    wheel: frozenset[str]
    unzipped: Path
    checkout: Path
    made: Path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """Build as a package index does it, in a copy of the checkout with what work leaves behind in one."""
    folder = tmp_path_factory.mktemp("built")
    left = ["artifacts/a/a.onnx", ".venv/lib/a.py", "tests/__pycache__/a.pyc", "tests/.hypothesis/a", "bench.json"]
    checkout = copy_checkout(folder / "checkout", left)
    archived = build(checkout, "sdist")
    with tarfile.open(archived) as archive:
        assert all(member.isfile() or member.isdir() for member in archive), "links do not unpack everywhere"
        archive.extractall(folder, filter="data")
    source = folder / archived.name.removesuffix(".tar.gz")
    sdist = frozenset(path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file())
    made = build(source, "wheel")
    with zipfile.ZipFile(made) as archive:
        archive.extractall(folder / "wheel")
        wheel = frozenset(archive.namelist())
    return Distributions(frozenset(checkout_files()), sdist, wheel, folder / "wheel", checkout, made)


def test_every_package_is_listed():
    listed = PROJECT["tool"]["setuptools"]["packages"]
    assert set(listed) == package_folders()
    assert len(set(listed)) == len(listed)
    assert listed == sorted(listed)


def test_every_package_has_an_init():
    for name in package_folders():
        assert (ROOT.joinpath(*name.split(".")[1:]) / "__init__.py").is_file(), name


def test_wheel_holds_what_lies_in_the_packages_modules_and_data_alike(built):
    inside = {name for name in built.wheel if ".dist-info/" not in name}
    below = tuple(f"{path}/" for path in ("models", "runtimes", "exporters"))
    expected = {f"cvport/{name}" for name in built.files if name.startswith(below)}
    expected |= {f"cvport/{name}" for name in ("__init__.py", "__main__.py", "errors.py", "py.typed")}
    assert inside == expected
    assert {f"cvport/{path.relative_to(ROOT).as_posix()}" for path in sources()} <= inside


def test_sdist_builds_the_wheel_that_the_checkout_builds(built):
    direct = build(built.checkout, "wheel")
    assert direct.name == built.made.name == f"cvport-{cvport.__version__}-py3-none-any.whl"
    assert direct.read_bytes() == built.made.read_bytes()


def test_wheel_has_both_commands_and_the_licence(built):
    (information,) = built.unzipped.glob("*.dist-info")
    scripts = (information / "entry_points.txt").read_text(encoding="utf-8")
    assert "cvexport = cvport.exporters.commands.cvexport:main" in scripts
    assert "cvrun = cvport.runtimes.commands.start:cvrun" in scripts
    assert (information / "licenses/LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_package_works_from_the_wheel_alone(built):
    code = """
import sys
sys.path.insert(0, sys.argv[1])
import cvport
print(cvport.__file__)
print(*cvport.list_models())
print(*cvport.get_model("yolox").labels)
"""
    place, models, labels = python(code, built.unzipped).splitlines()
    assert Path(place).is_relative_to(built.unzipped)
    assert models.split() == cvport.list_models()
    assert labels == "hand"


def test_sdist_holds_the_sources_the_tests_and_what_runs_them(built):
    tests = {name for name in built.files if name.startswith(("tests/", "tools/"))}
    assert len(tests) > 100
    assert tests <= built.sdist
    assert {"README.md", "CHANGELOG.md", "LICENSE", "constraints.txt", "constraints-lowest.txt"} <= built.sdist
    assert {"Makefile", "pyproject.toml", "MANIFEST.in", "Dockerfile", ".dockerignore"} <= built.sdist
    assert {path.relative_to(ROOT).as_posix() for path in sources()} <= built.sdist


def test_sdist_holds_nothing_that_work_leaves_behind(built):
    made = {"PKG-INFO", "setup.cfg"}
    more = {name for name in built.sdist - built.files - made if ".egg-info/" not in name}
    assert more == set()
    assert not any(name.startswith("artifacts/") for name in built.sdist)


def test_editable_install_finds_the_root_by_the_name_of_the_package():
    folder = ROOT / PROJECT["tool"]["setuptools"]["package-dir"][""]
    assert (folder / "cvport").is_symlink()
    assert (folder / "cvport").readlink() == Path("..")


def test_lowest_versions_are_those_that_the_project_asks_for():
    """constraints-lowest.txt, which `make test-lowest` installs, pins the first release of each lower bound."""
    bounds = {
        name.lower(): bound.split(".")
        for name, bound in (line.split(">=") for line in PROJECT["project"]["dependencies"])
    }
    lines = (ROOT / "constraints-lowest.txt").read_text(encoding="utf-8").splitlines()
    pins = {name: pin.split(".") for name, pin in (line.split("==") for line in lines if not line.startswith("#"))}
    assert pins.keys() == bounds.keys()
    for name, bound in bounds.items():
        assert pins[name][: len(bound)] == bound, name


def test_version_is_the_one_of_the_project():
    version = PROJECT["project"]["version"]
    assert cvport.__version__ == version
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.M)
    assert newest[1] == version


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


def imported_files(path: Path) -> set[Path]:
    """Return the files of the package that a file imports when it runs, in functions too; not for type checking."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in ast.walk(block)
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level and id(node) not in typing:
            folder = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            places = [folder, *(folder / alias.name for alias in node.names)]
            found |= {place.with_suffix(".py") for place in places if place.with_suffix(".py").is_file()}
    return found


def circles(graph: dict[Path, set[Path]]) -> list[list[str]]:
    """Return the files of each circle that a walk along the imports meets."""
    met, done = [], set()

    def visit(path: Path, trail: list[Path]) -> None:
        if path in trail:
            met.append([step.relative_to(ROOT).as_posix() for step in trail[trail.index(path) :]])
        elif path not in done:
            for target in graph[path]:
                visit(target, [*trail, path])
            done.add(path)

    for path in graph:
        visit(path, [])
    return met


def test_no_circle_of_files():
    graph = {path: imported_files(path) for path in sources()}
    assert sum(map(len, graph.values())) > 300
    assert circles(graph) == []
    first, second = list(graph)[:2]
    assert circles({first: {second}, second: {first}}), "a circle is seen"


# --- python -m cvport


def test_python_m_cvport_says_what_there_is(tmp_path):
    command = [sys.executable, "-m", "cvport"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("cvport ")
    assert "models     yolox, nanodet, hand_static, landmarks68, emotion" in done.stdout
    assert done.stdout == import_module("cvport.runtimes.commands.console").overview() + "\n"


def test_python_m_cvport_takes_no_arguments(tmp_path):
    command = [sys.executable, "-m", "cvport", "yolox"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: python -m cvport takes no arguments\n  The commands are cvexport --help and cvrun --help\n"
    )


def test_main_is_light():
    assert imported_by("import cvport.__main__") & HEAVY == set()


# --- the public names


def test_public_names_resolve():
    for name in cvport.__all__:
        assert getattr(cvport, name) is not None
        assert name in vars(cvport), "fetched once"
    assert cvport.load is import_module("cvport.runtimes.load").load
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


def test_hooks_before_a_commit_are_those_of_ci():
    root = Path(__file__).parents[1]
    entries = re.findall(r"entry: (.+)", (root / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    recipes = [re.search(rf"^{target}:.*\n((?:\t.*\n)+)", makefile, flags=re.M)[1] for target in ("lint", "types")]
    assert entries == "".join(recipes).replace("\t$(BIN)", ".venv/bin").splitlines()
