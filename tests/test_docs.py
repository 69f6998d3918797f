"""The pages of docs/ are executed: their commands print what is shown, their Python runs."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
BIN = Path(sys.executable).parent


def blocks(page):
    """The blocks of a page that are run, as (language, text)."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"^```(console|python)\n(.*?)^```", text, flags=re.S | re.M)


def commands(block):
    """The commands of a block with what they print, as (command, text)."""
    parts = re.split(r"^\$ ", block, flags=re.M)
    return [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts if part]


def fits(shown, printed):
    """Whether a text is the one that is shown: ``...`` stands for anything, numbers with a point for any such."""

    def plain(text):
        return re.sub(r"\s+", " ", re.sub(r"\d+\.\d+(e[-+]\d+)?", "#", text)).strip()

    pattern = ".*".join(re.escape(plain(part)) for part in shown.split("..."))
    return re.fullmatch(pattern, plain(printed), flags=re.S) is not None


# Pages that take minutes.
LONG = ("train-export-prove.md",)


class Folder:
    """A folder in which commands run; what they install goes to a folder of the path beside it."""

    def __init__(self, path):
        self.path = path / "here"
        self.path.mkdir()
        self.site = path / "site"
        self.environment = dict(os.environ)
        paths = (str(self.site), str(DOCS.parent / "tools"), os.environ.get("PYTHONPATH"))
        self.environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))

    def run(self, command):
        name, *arguments = shlex.split(command)
        if name == "pip":
            # Nothing is installed into the environment that the tests run in, and nothing is downloaded.
            assert arguments[:3] == ["install", "-q", "-e"]
            options = ["--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check", "--target"]
            words = [sys.executable, "-m", "pip", "install", "-q", *options, self.site, *arguments[3:]]
        elif name == "python":
            words = [sys.executable, *arguments]
        else:
            words = [BIN / name, *arguments]
        done = subprocess.run(words, cwd=self.path, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture
def folder(tmp_path):
    import skimage

    folder = Folder(tmp_path)
    shutil.copy(Path(skimage.__file__).parent / "data/astronaut.png", folder.path / "image.png")
    (folder.path / "names.txt").write_text("cat\ndog\n")
    return folder


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.slow] if page in LONG else [])
        for page in sorted(path.name for path in DOCS.glob("*.md"))
    ],
)
def test_a_page_is_true(page, folder):
    found = blocks(page)
    assert found
    for number, (language, block) in enumerate(found):
        if language == "python":
            script = folder.path / f"block_{number}.py"
            script.write_text(block, encoding="utf-8")
            folder.run(f"python {script.name}")
            continue
        for command, shown in commands(block):
            printed = folder.run(command)
            assert fits(shown, printed), f"{command}\n{printed}"


def test_pages_are_linked_from_the_readme():
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    for page in DOCS.glob("*.md"):
        assert f"docs/{page.name}" in readme


def test_what_fits():
    assert fits("a 0.1 b\n...\nend", "a 0.7  b\nmore\nand more\nend\n")
    assert not fits("a 0.1 b\n...\nend", "a 0.7 b\nmore\n")
    assert not fits("passed", "failed")
