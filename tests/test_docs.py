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

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BIN = Path(sys.executable).parent
# An export takes seconds, and pages begin with the same one: it is run once, and its artifact copied.
EXPORT = "cvexport yolox --weights sample"
# What shows the exit code of a command that fails, and its message.
FAILS = " || echo $?"
# Pages that take minutes, are made by a script, and need the simulated device.
LONG, GENERATED, SIMULATED = ("train-export-prove.md",), ("cli.md",), ("npu.md",)
PAGES = sorted(path.name for path in DOCS.glob("*.md") if path.name not in GENERATED)


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


class Folder:
    """A folder in which commands run; what they install goes to a folder of the path beside it."""

    def __init__(self, path):
        self.path = path / "here"
        self.path.mkdir()
        self.site = path / "site"
        self.environment = dict(os.environ)
        paths = (str(self.site), str(ROOT / "tools"), str(ROOT / "tests"), os.environ.get("PYTHONPATH"))
        self.environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))

    def run(self, command):
        """Return what a command prints: of one that has to fail, its message and its exit code too."""
        fails = command.endswith(FAILS)
        done = subprocess.run(
            self._words(*shlex.split(command.removesuffix(FAILS), comments=True)),
            cwd=self.path,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) == fails, f"{command}\n{done.stdout}{done.stderr}"
        return f"{done.stdout}{done.stderr}{done.returncode}" if fails else done.stdout

    def _words(self, name, *arguments):
        if name == "pip":
            # Nothing is installed into the environment that the tests run in, and nothing is downloaded.
            assert arguments[:3] == ("install", "-q", "-e")
            options = ["--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check", "--target"]
            return [sys.executable, "-m", "pip", "install", "-q", *options, self.site, *arguments[3:]]
        return [sys.executable, *arguments] if name == "python" else [BIN / name, *arguments]


@pytest.fixture
def folder(tmp_path):
    import skimage

    folder = Folder(tmp_path)
    shutil.copy(Path(skimage.__file__).parent / "data/astronaut.png", folder.path / "image.png")
    (folder.path / "names.txt").write_text("cat\ndog\n")
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """What the export of the pages prints, and the folder that it writes."""
    folder = Folder(tmp_path_factory.mktemp("exported"))
    return folder.run(EXPORT), folder.path / "artifacts"


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.slow] if page in LONG else []) for page in PAGES]
)
def test_a_page_is_true(page, folder, request):
    if page in SIMULATED:
        import npu_sim

        if reason := npu_sim.why_not():
            pytest.skip(reason)
    found = blocks(page)
    assert found
    for number, (language, block) in enumerate(found):
        if language == "python":
            script = folder.path / f"block_{number}.py"
            script.write_text(block, encoding="utf-8")
            folder.run(f"python {script.name}")
            continue
        for command, shown in commands(block):
            if command == EXPORT:
                printed, artifacts = request.getfixturevalue("exported")
                shutil.copytree(artifacts, folder.path / "artifacts", symlinks=True)
            else:
                printed = folder.run(command)
            assert fits(shown, printed), f"{command}\n{printed}"


def test_pages_are_linked_from_both_readmes():
    for readme in ("README.md", "README.zh-CN.md"):
        text = (ROOT / readme).read_text(encoding="utf-8")
        for page in DOCS.glob("*.md"):
            assert f"(docs/{page.name})" in text, f"{readme}: {page.name}"


@pytest.mark.parametrize("page", [*DOCS.glob("*.md"), *ROOT.glob("*.md")], ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    targets = [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r'(?:src|href)="([^"]+)"', text)]
    for target in targets:
        name, _, anchor = target.partition("#")
        if "://" in name:
            continue
        file = page.parent / name if name else page
        assert file.exists(), target
        if anchor:
            titles = re.findall("^#+ (.+)$", file.read_text(encoding="utf-8"), flags=re.M)
            assert anchor in {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}, target


def test_pictures_are_small():
    pictures = list((DOCS / "images").iterdir())
    assert {path.suffix for path in pictures} <= {".png", ".svg", ".webp"}
    assert sum(path.stat().st_size for path in pictures) < 400_000
    text = "".join(page.read_text(encoding="utf-8") for page in (*DOCS.glob("*.md"), ROOT / "README.md"))
    for path in pictures:
        assert f"images/{path.name}" in text, "no page shows it"


def test_what_fits():
    assert fits("a 0.1 b\n...\nend", "a 0.7  b\nmore\nand more\nend\n")
    assert not fits("a 0.1 b\n...\nend", "a 0.7 b\nmore\n")
    assert not fits("passed", "failed")


def test_a_command_that_has_to_fail(tmp_path):
    folder = Folder(tmp_path)
    assert folder.run("python -c 'import sys; print(1); sys.exit(4)' || echo $?") == "1\n4"
    for command in ("python -c 'import sys; sys.exit(4)'", "python -c pass || echo $?"):
        with pytest.raises(AssertionError):
            folder.run(command)
