"""What both commands share: exit codes, messages, progress, the overview."""

import importlib.metadata
import io
import logging
import sys

import click
import pytest

from cvport import errors
from cvport.errors import InputError
from cvport.runtimes.backends import onnx as onnx_backend
from cvport.runtimes.commands import console
from cvport.runtimes.commands.console import ErrorSink, overview, progress, progress_bar, set_verbosity, show_error
from cvport.runtimes.sinks.base import Failure


def command(action):
    @click.command()
    @click.option("--size", type=int)
    def run(size):
        return action()

    return run


def raiser(error):
    def action():
        raise error

    return command(action)


# --- exit codes and messages


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("CvportError", 1),
        ("UsageError", 2),
        ("InputError", 3),
        ("WeightsError", 4),
        ("ArtifactError", 4),
        ("BackendError", 5),
        ("ParityFailed", 6),
        ("ParityIncomplete", 7),
    ],
)
def test_errors_have_their_codes(invoke, kind, code):
    done = invoke(raiser(getattr(errors, kind)("it broke", "Mend it.")))
    assert done == (code, "", "error: it broke\n  Mend it.\n")


def test_no_error_is_left_out():
    found = {kind.__name__ for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert len(found) == 8


def test_error_without_a_next_step(invoke):
    assert invoke(raiser(errors.InputError("it broke"))) == (3, "", "error: it broke\n")


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (3, 3), ("text", 0)])
def test_what_a_command_returns(invoke, result, code):
    assert invoke(command(lambda: result)) == (code, "", "")


@pytest.mark.parametrize("args", [["--size", "x"], ["--sise", "3"], ["surplus"], ["--size"]])
def test_wrong_usage(invoke, args):
    done = invoke(command(lambda: 0), *args)
    assert done.code == 2
    assert done.out == ""
    assert "Error: " in done.err


def test_help_is_a_result(invoke):
    done = invoke(command(lambda: 0), "--help")
    assert (done.code, done.err) == (0, "")
    assert "Usage:" in done.out


def test_a_lack_of_memory_is_no_defect(invoke):
    done = invoke(raiser(MemoryError()))
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: there is not enough memory\n  Use fewer --workers")


@pytest.mark.parametrize("error", [ZeroDivisionError("division by zero"), KeyError("colour")])
def test_internal_error(invoke, error):
    done = invoke(raiser(error))
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"internal error: {type(error).__name__}: {error}\n")
    assert "-v" in done.err


def test_internal_error_with_v_shows_where(capsys):
    def action():
        set_verbosity(False, True)
        raise ZeroDivisionError

    assert console.run_command(command(action), []) == 1
    assert "Traceback" in capsys.readouterr().err


def test_interrupt(invoke):
    done = invoke(raiser(KeyboardInterrupt()))
    assert (done.code, done.out) == (130, "")
    assert "interrupted" in done.err


def test_reader_that_has_gone_is_no_error(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    assert console.run_command(raiser(BrokenPipeError(32, "Broken pipe")), []) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_names_that_a_stream_cannot_hold_are_escaped(monkeypatch, encoding):
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding) for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    assert console.run_command(command(lambda: click.echo("caf\udce9 手")), []) == 0
    written = streams["stdout"].buffer.getvalue().decode(encoding)
    assert written == "caf\\udce9 " + ("手\n" if encoding == "utf-8" else "\\u624b\n")


def test_error_says_where_unless_it_does_already(capsys):
    show_error(errors.InputError("no such file: a.jpg", "Look."), "a.jpg")
    show_error(errors.InputError("it is empty"), "a.jpg")
    assert capsys.readouterr() == ("", "error: no such file: a.jpg\n  Look.\nerror: a.jpg: it is empty\n")


# --- verbosity and progress


@pytest.mark.parametrize(
    ("quiet", "verbose", "said"),
    [(True, False, "error"), (False, False, "warning error"), (False, True, "info warning error")],
)
def test_verbosity(capsys, quiet, verbose, said):
    set_verbosity(quiet, verbose)
    for level in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger("cvport.some"), level)(level)
    out, err = capsys.readouterr()
    assert (out, err.split()) == ("", said.split())


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("quiet", "stream"), [(True, Terminal), (False, io.StringIO), (True, io.StringIO)])
def test_progress_is_silent(monkeypatch, quiet, stream):
    monkeypatch.setattr(sys, "stderr", stream())
    with progress(quiet) as show:
        show("tracing")
    assert sys.stderr.getvalue() == ""


def test_progress_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with progress(False) as show:
        show("tracing")
    assert "tracing" in sys.stderr.getvalue()
    assert capsys.readouterr().out == ""


# --- the bar of a stream


@pytest.mark.parametrize(
    ("total", "quiet", "stream"), [(5, True, Terminal), (1, False, Terminal), (5, False, io.StringIO)]
)
def test_bar_is_silent(monkeypatch, total, quiet, stream):
    monkeypatch.setattr(sys, "stderr", stream())
    with progress_bar(total, quiet) as bar:
        bar.advance()
        assert bar.out() is sys.stdout
        bar.say("saved a.png")
    assert sys.stderr.getvalue() == "saved a.png\n"


def use_terminal(monkeypatch, kind="xterm"):
    """Make stdout and stderr a terminal. Not a fixture: pytest sets its own streams between a fixture and a test."""
    monkeypatch.setenv("TERM", kind)
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, Terminal())


def test_bar_counts_items_and_gives_way_to_lines(monkeypatch):
    use_terminal(monkeypatch)
    with progress_bar(2, False) as bar:
        bar.advance()
        bar.advance()
        bar.say("saved a.png")
        bar.out().write("a.png  1 hand\n")
        bar.out().flush()
    shown = sys.stderr.getvalue()
    assert "0/2" in shown
    assert "2/2" in shown
    erased = "\x1b[1A\x1b[2K"
    assert f"{erased}saved a.png\n" in shown, "the line stands where the bar was"
    assert shown.endswith(erased), "and the bar leaves nothing behind"
    assert sys.stdout.getvalue() == "a.png  1 hand\n"


def test_result_that_goes_elsewhere_does_not_move_the_bar(monkeypatch):
    use_terminal(monkeypatch)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with progress_bar(2, False) as bar:
        assert bar.out() is sys.stdout


def test_no_bar_on_a_terminal_that_cannot_erase(monkeypatch):
    use_terminal(monkeypatch, "dumb")
    with progress_bar(2, False) as bar:
        bar.say("saved a.png")
    assert sys.stderr.getvalue() == "saved a.png\n"


def test_failures_are_printed(capsys):
    with progress_bar(2, False) as bar, ErrorSink(bar) as sink:
        sink.fail(Failure("a.jpg", InputError("it is empty", "Look.")))
    assert capsys.readouterr() == ("", "error: a.jpg: it is empty\n  Look.\n")


# --- the overview


def test_overview(no_torch_npu):
    lines = overview().splitlines()
    text = "\n".join(lines)
    assert len(lines) <= 20
    assert f"cvport {importlib.metadata.version('cvport')}" in lines[0]
    for name in ("yolox", "emotion", "onnx ", "torch ", "numpy", "onnxruntime"):
        assert name in text
    assert text.count(": ready") == 2
    assert "not here" not in text.replace("torch_npu: not here", "")
    assert sum(line.startswith(("cvexport ", "cvrun ")) for line in lines) == 3
    assert max(map(len, lines)) < 200


def test_overview_says_what_is_missing_and_why(monkeypatch):
    versions = importlib.metadata.version

    def version(package):
        if package in ("onnx", "onnxsim"):
            raise importlib.metadata.PackageNotFoundError
        return versions(package)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(onnx_backend, "unavailable_reason", lambda device: "it is ill\nGive it tea.")
    text = overview()
    assert len(text.splitlines()) <= 20
    assert "ONNX Runtime: not here: it is ill - Give it tea." in text
    assert "not here: onnx, onnxsim missing - pip install 'cvport[export]'" in text
    assert "onnx missing" in text
    assert text.count(": ready") == 1
