"""Options that commands share."""

import click
import pytest
from click.testing import CliRunner

from cvport import errors
from cvport.models.spec import VariantOptions
from cvport.runtimes.commands.bench import bench
from cvport.runtimes.commands.cvrun import cvrun
from cvport.runtimes.commands.evaluate import evaluate
from cvport.runtimes.commands.options import (
    download_options,
    option_group,
    take_variant_options,
    variant_options,
    verbosity_options,
    weights_option,
)


def options_of(**given):
    return take_variant_options({"input_size": None, "preprocess": None, "activation": None, "labels": None, **given})


@pytest.mark.parametrize(
    ("text", "size"),
    [("416", (416, 416)), ("320,640", (320, 640)), ("320x640", (320, 640)), (" 320 , 640 ", (320, 640))],
)
def test_input_size(text, size):
    assert options_of(input_size=text) == VariantOptions(input_size=size)


@pytest.mark.parametrize("text", ["", ",", "320,", "320,640,3", "-320", "3.5", "big", "²", "320;640"])
def test_input_size_that_is_none(text):
    with pytest.raises(errors.UsageError, match="is not an input size") as caught:
        options_of(input_size=text)
    assert "320,640" in caught.value.hint


def test_options_are_passed_on():
    assert options_of() == VariantOptions()
    assert options_of(preprocess="megvii", activation="relu") == VariantOptions(preprocess="megvii", activation="relu")


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        (b"hand\nface\n", ("hand", "face")),
        (b"\xef\xbb\xbfhand\r\nface", ("hand", "face")),
        (b"\n  hot dog \n\n\xe6\x89\x8b\n\n", ("hot dog", "手")),
        (b"a,b\n#c\n", ("a,b", "#c")),
    ],
)
def test_labels(tmp_path, content, labels):
    (tmp_path / "names.txt").write_bytes(content)
    assert options_of(labels=tmp_path / "names.txt").labels == labels


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read the labels"),
        (b"\xff\xfe\x00bad\x80", "cannot read the labels"),
        (b"", "no labels in"),
        (b" \n\n", "no labels in"),
    ],
)
def test_labels_that_cannot_be_read(tmp_path, content, message):
    path = tmp_path / "names.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(errors.InputError, match=message) as caught:
        options_of(labels=path)
    assert "names.txt" in caught.value.message
    assert "one label per line" in caught.value.hint


def test_labels_in_a_folder(tmp_path):
    with pytest.raises(errors.InputError, match="cannot read the labels"):
        options_of(labels=tmp_path)


# --- groups


def test_help_lists_a_group_in_its_order():
    @click.command()
    @weights_option(" (for torch)")
    @variant_options
    @download_options
    @verbosity_options
    def command(**options):
        """Do nothing."""

    names = [option.opts[-1] for option in command.params]
    assert names == [
        "--weights",
        "--input-size",
        "--preprocess",
        "--activation",
        "--labels",
        "--offline",
        "--cache-dir",
        "--quiet",
        "--verbose",
    ]
    assert command.params[0].help.endswith("or seeded[:N] (for torch).")
    assert all(option.help.endswith(".") for option in command.params)


def test_group_of_none():
    def command():
        """Do nothing."""

    assert option_group("Model")(command) is command


@pytest.mark.parametrize("command", [cvrun, bench, evaluate])
def test_help_lists_every_option_under_a_title(command):
    result = CliRunner().invoke(command, ["--help"])
    assert result.exit_code == 0
    lines = result.output.splitlines()
    for title in ("Model:", "Sources:", "What is found:", "Messages:", "Help:"):
        assert title in lines
    for param in command.params:
        if isinstance(param, click.Option):
            assert any(param.opts[-1] in line for line in lines), param.name
    assert lines.index("Model:") < lines.index("Messages:") < lines.index("Help:")
    assert "Options:" not in lines or command is not cvrun


def test_options_that_are_a_group_already_stay_under_their_title():
    inner = option_group("Inner", click.option("--a"))
    outer = option_group("Outer", click.option("--b"), inner)

    @outer
    def command():
        """Do nothing."""

    assert {param.name: param.section for param in command.__click_params__} == {"a": "Inner", "b": "Outer"}
