"""The licences of what cvport needs, as the packages declare them: writes the tables of docs/licences.md.

python -m licences docs/licences.md
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cvport.exporters.licences import declared_licence

ROOT = Path(__file__).resolve().parents[1]
BASE = "base"
# What only development needs is not part of any installation.
_LEFT_OUT = ("dev", "demo")
_START, _END = "<!-- made by tools/licences.py -->\n", "<!-- end -->\n"
_UNDECLARED = "not declared"


class Row(NamedTuple):
    """A package.

    Attributes:
        package: Its name.
        version: The one that was looked at.
        licence: As it declares it.
        parts: What needs it: "base", extras.

    """

    package: str
    version: str
    licence: str
    parts: tuple[str, ...]


def rows() -> list[Row]:
    """Return every package that the base install and the extras bring, as far as it is installed here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {BASE: project["dependencies"], **project["optional-dependencies"]}
    needed: dict[str, list[str]] = {}
    for part, texts in groups.items():
        if part not in _LEFT_OUT:
            for name in _reach([Requirement(text) for text in texts]):
                needed.setdefault(name, []).append(part)
    return [_row(name, parts) for name, parts in sorted(needed.items())]


def render(table: list[Row]) -> str:
    """Return the table as Markdown."""
    lines = ["| package | version | licence | needed by |", "|---|---|---|---|"]
    for row in table:
        parts = row.parts[:1] if row.parts[0] == BASE else row.parts
        lines.append(f"| {row.package} | {row.version} | {row.licence} | {', '.join(parts)} |")
    return "\n".join(lines) + "\n"


def read(text: str) -> dict[str, tuple[str, str]]:
    """Return the licence and the parts of each package of a page; versions are left out."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in _table(text).splitlines()[2:]]
    return {package: (licence, parts) for package, _, licence, parts in cells}


def replaced(text: str, table: str) -> str:
    """Return the text of a page with another table."""
    before, _, rest = text.partition(_START)
    return f"{before}{_START}{table}{_END}{rest.partition(_END)[2]}"


def _table(text: str) -> str:
    return text.partition(_START)[2].partition(_END)[0]


def _reach(requirements: list[Requirement]) -> set[str]:
    """Return the installed packages that requirements lead to."""
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting = [(requirement, extra) for requirement in requirements for extra in ("", *requirement.extras)]
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (name, extra) in seen or not _applies(requirement):
            continue
        seen.add((name, extra))
        try:
            texts = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found.add(name)
        for more in map(Requirement, texts):
            if more.marker is None or more.marker.evaluate({"extra": extra}):
                waiting += [(more, wanted) for wanted in ("", *more.extras)]
    return found - {"cvport"}


def _applies(requirement: Requirement) -> bool:
    """Tell whether a requirement is one on this system; what extras of it say was looked at before."""
    return requirement.marker is None or "extra" in str(requirement.marker) or requirement.marker.evaluate()


def _row(name: str, parts: list[str]) -> Row:
    licence = declared_licence(name)
    text = _UNDECLARED if licence is None else re.sub(r"\s+", " ", licence.name).replace("|", "\\|")
    return Row(name, importlib.metadata.version(name), text, tuple(parts))


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(replaced(page.read_text(encoding="utf-8"), render(rows())), encoding="utf-8")
