"""docs/licences.md says what the packages declare; versions may differ."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import licences

PAGE = Path(__file__).parents[2] / "docs/licences.md"
PROJECT = tomllib.loads((PAGE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
ROWS = licences.rows()


def test_the_page_is_what_is_installed():
    page = licences.read(PAGE.read_text(encoding="utf-8"))
    here = licences.read(licences.replaced(PAGE.read_text(encoding="utf-8"), licences.render(ROWS)))
    again = "run: PYTHONPATH=tools python -m licences docs/licences.md"
    # Other builds bring other packages, such as CUDA's for torch: what is asked for by name has to be on the page.
    common = page.keys() & here.keys()
    assert {name: page[name] for name in common} == {name: here[name] for name in common}, again
    groups = (PROJECT["dependencies"], *(texts for extra, texts in EXTRAS.items() if extra not in ("dev", "demo")))
    asked = {canonicalize_name(Requirement(text).name) for texts in groups for text in texts}
    assert (asked & here.keys()) - page.keys() == set(), again
    assert len(common) > 50


def test_all_base_dependencies_have_a_licence_with_an_identifier():
    base = {row.package: row.licence for row in ROWS if licences.BASE in row.parts}
    assert {text.partition(">=")[0].lower() for text in PROJECT["dependencies"]} <= set(base)
    assert "not declared" not in base.values()
    assert not any("GPL" in licence for licence in base.values())
    assert base["numpy"].startswith("BSD-3-Clause")


def test_parts_are_those_that_need_a_package():
    parts = {row.package: row.parts for row in ROWS}
    assert "torch" in parts["torch"]
    assert "export" in parts["torch"], "through another extra of cvport"
    assert parts["onnxscript"] == ("export",)
    assert "supervision" in parts["scipy"], "through a package of the extra"
    assert "cvport" not in parts
    assert "pytest" not in parts


def test_table_is_replaced_and_read_again():
    row = licences.Row("thing", "1.2", "MIT", ("base", "torch"))
    text = licences.replaced(f"before\n{licences._START}old\n{licences._END}after\n", licences.render([row]))
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| thing | 1.2 | MIT | base |" in text
    assert licences.read(text) == {"thing": ("MIT", "base")}
