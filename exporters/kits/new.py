"""A package with a model of its own, whole and passing its tests, to start from.

The files are made from templates: those of ``templates/common``, and those of the folder of a kind of result, which
come instead of a common one of the same name. A template ``package/x`` becomes ``src/cvport_NAME/x``, and ``$name``
and the like in it are replaced. ``words.json`` of a kind holds the words that differ.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path, PurePosixPath
from string import Template

from ... import __version__
from ...errors import ArtifactError, UsageError, did_you_mean
from ...models.plugins import installed, name_problem
from ...models.registry import MODELS

_TEMPLATES = Path(__file__).parent / "templates"
_COMMON = "common"
_WORDS = "words.json"
_ENDING = ".tmpl"
# A template whose name must not start with a dot in this repository.
_NAMES = {"gitignore": ".gitignore"}


def list_kinds() -> list[str]:
    """Return the kinds of result that there are templates for."""
    return sorted(path.name for path in _TEMPLATES.iterdir() if (path / _WORDS).is_file())


def write_package(name: str, kind: str, output: Path) -> list[Path]:
    """Write an installable package with a model, ``output/NAME``.

    Args:
        name: The model's name.
        kind: The kind of its result.
        output: An existing folder, or one to be made.

    Returns:
        The files that were written, in order.

    Raises:
        UsageError: The name or the kind cannot be used, or the folder exists.
        ArtifactError: The folder cannot be written.

    """
    _check_name(name)
    if kind not in list_kinds():
        raise UsageError(f"there are no templates for results of kind {kind!r}", did_you_mean(kind, list_kinds()))
    folder = output / name
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} exists", "Give another name, another folder with -o, or remove it.")
    contents = render_package(name, kind)
    try:
        output.mkdir(parents=True, exist_ok=True)
        _write(folder, contents)
    except OSError as error:
        raise ArtifactError(f"cannot write {folder}: {error.strerror}", "Give another folder with -o.") from error
    return [folder / path for path in contents]


def render_package(name: str, kind: str) -> dict[str, str]:
    """Return the text of each file of a package by its path in it, sorted."""
    package = f"cvport_{name}"
    words = {
        **json.loads((_TEMPLATES / kind / _WORDS).read_text(encoding="utf-8")),
        "name": name,
        "package": package,
        "project": package.replace("_", "-"),
        "cvport_version": __version__,
    }
    templates = {**_templates(_COMMON), **_templates(kind)}
    return {
        _target(path, package): Template(templates[path].read_text(encoding="utf-8")).substitute(words)
        for path in sorted(templates, key=lambda path: (path.count("/"), path))
    }


def _templates(folder: str) -> dict[str, Path]:
    """Return the templates of a folder by their paths in it."""
    root = _TEMPLATES / folder
    return {
        path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file() and path.name != _WORDS
    }


def _target(template: str, package: str) -> str:
    """Return where in the package the file of a template belongs."""
    path = PurePosixPath(template.removesuffix(_ENDING))
    path = path.with_name(_NAMES.get(path.name, path.name))
    return (
        PurePosixPath("src", package) / path.relative_to("package") if path.parts[0] == "package" else path
    ).as_posix()


def _check_name(name: str) -> None:
    """Refuse names that a model cannot have, or that another package has taken."""
    if problem := name_problem(name, MODELS):
        close = name.lower().replace("-", "_").replace(" ", "_").replace(".", "_")
        hint = f"Perhaps {close}." if close != name and name_problem(close, MODELS) is None else "Give another name."
        raise UsageError(problem, hint)
    owners = [plugin.package for plugin in installed() if plugin.name == name]
    foreign = [owner for owner in owners if owner.replace("_", "-") != f"cvport-{name}".replace("_", "-")]
    if foreign:
        raise UsageError(
            f"the package {foreign[0]} has a model {name!r}", f"Give another name, or: pip uninstall {foreign[0]}"
        )


def _write(folder: Path, contents: dict[str, str]) -> None:
    """Write all files beside the folder and move them there together."""
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for path, text in contents.items():
            target = staging / "new" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", newline="\n")
        (staging / "new").rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
