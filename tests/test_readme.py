"""The README is executed: its commands print what it shows, its Python runs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from shapes.photos import HELD_OUT
from shapes.scenes import CLASSES, draw_scene

ROOT = Path(__file__).parents[1]
README, CHINESE, EMBEDDING = (
    (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md", "docs/embedding.md")
)
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    # The picture of the demo.
    cv2.imwrite(str(folder / "image.png"), draw_scene([2029, 0, 1], (480, 640), photos=tuple(HELD_OUT)).image)
    return folder


def blocks(language, page=README):
    return re.findall(rf"```{language}\n(.*?)```", page, flags=re.S)


def commands():
    parts = [part for block in blocks("console") for part in re.split(r"^\$ ", block, flags=re.M) if part]
    return [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]


def shape(text):
    """The text without what differs from machine to machine: rounding errors, times, the spaces before them."""
    text = re.sub(r"nearest to its limit: .*", "nearest to its limit: #", text)
    text = re.sub(r"npu not run \(.*?\)$", "npu not run", text, flags=re.M)
    return re.sub(r"\s+", " ", re.sub(r"\d+\.\d+(e[-+]\d+)?", "#", text)).strip()


def test_commands_print_what_is_shown(folder):
    shown = commands()
    assert len(shown) == 3
    for command, output in shown:
        name, *arguments = shlex.split(command)
        done = subprocess.run(
            [BIN / name, *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        assert shape(done.stdout) == shape(output), command
    assert (folder / "out/image_onnx.png").is_file()


def test_python_runs(folder, monkeypatch, capsys):
    (code,) = blocks("python")
    monkeypatch.chdir(folder)
    # The export is the command's, which ran above; everything else runs as it stands.
    changed = code.replace('cvport.export("yolox", weights="sample", output="artifacts")', "Published()")
    assert code != changed

    class Published:
        onnx = Path("artifacts/yolox/yolox.onnx")

    exec(changed, {"Published": Published})
    assert re.fullmatch(rf"(({'|'.join(CLASSES)}) 0\.\d\d \[.*\]\n)+", capsys.readouterr().out)


def test_embedding_finds_what_the_predictor_finds(folder, monkeypatch):
    import cvport

    code = blocks("python", EMBEDDING)[0]
    monkeypatch.chdir(folder)
    names = {}
    exec(code, names)
    with cvport.load("artifacts/yolox/yolox.onnx", backend="onnx") as predictor:
        expected = predictor("image.png")
    assert len(expected) > 0
    assert names["detections"].to_dict() == expected.to_dict()


def test_exit_codes_are_the_documented_ones():
    from cvport import errors

    documented = {0: "ok", 1: "internal", 2: "usage", 3: "input or data", 4: "weights or artifact"}
    documented |= {5: "backend unavailable", 6: "parity failed", 7: "parity incomplete", 130: "interrupted"}
    table = README.partition("## Exit codes")[2].partition("\n\n")[2].splitlines()
    numbers = [int(cell) for cell in table[0].strip("| ").split("|")]
    assert dict(zip(numbers, (cell.strip() for cell in table[2].strip("| ").split("|")), strict=True)) == documented
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.CvportError)]
    assert {kind.exit_code for kind in kinds} == {1, 2, 3, 4, 5, 6, 7}


def shown_commands(page):
    """The lines to type, in blocks that are run and in those that are indented, and the Python."""
    lines = re.findall(r"^(?:    |\$ )(.+)$", re.sub("```python.*?```", "", page, flags=re.S), flags=re.M)
    return lines, blocks("python", page)


def test_the_chinese_page_shows_the_same_commands_and_models():
    lines, python = shown_commands(README)
    assert len(lines) > 5
    assert shown_commands(CHINESE) == (lines, python)
    tables = [re.findall(r"^\| (`\w+`) \|.*\| (`.*`|[^|`]*) \|$", page, flags=re.M) for page in (README, CHINESE)]
    assert [name for name, _ in tables[0]] == [name for name, _ in tables[1]]
    hubs = [[value for _, value in table if ":" in value and value[0] == "`"] for table in tables]
    assert hubs[0] == hubs[1]
    assert len(hubs[0]) == 4


def test_the_chinese_page_has_the_same_figures():
    sections = [page.partition("| `sample`")[2].partition("\n## ")[0] for page in (README, CHINESE)]
    figures = [sorted(re.findall(r"\d+(?:\.\d+)*(?:e-\d+)?", section)) for section in sections]
    assert figures[0] == figures[1]
    assert len(figures[0]) > 30
