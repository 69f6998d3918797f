"""Packages with models, as an installer leaves them on the path: modules, and a dist-info folder with entry points."""

from __future__ import annotations

from pathlib import Path

SPEC = """
from cvport.models.spec import ModelSpec

SPEC = ModelSpec(
    name="{name}", package="nowhere", task="finds {name}s", kind="{kind}", input_name="input", output_names=("out",),
    outputs="out (N,3)", sizes="8x8", stride=8, code={{"network": ".network:Network"}}, hub=None,
)
"""


def spec(name: str, kind: str = "classes", before: str = "") -> str:
    """The text of a module with a spec; *before* is run when it is imported."""
    return before + SPEC.format(name=name, kind=kind)


def install(
    site: Path, package: str, points: dict[str, str], modules: dict[str, str] | None = None, version: str = "1.2"
) -> Path:
    """Write a package into a folder of the path, and return its dist-info folder.

    Args:
        site: The folder.
        package: Name of the distribution.
        points: Value of each entry point of the group of models by its name.
        modules: Text of each module by its name.
        version: The distribution's version.

    """
    info = site / f"{package.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (info / "entry_points.txt").write_text(f"[console_scripts]\nother = other:main\n\n[cvport.models]\n{lines}")
    for name, text in (modules or {}).items():
        (site / f"{name}.py").write_text(text)
    return info
