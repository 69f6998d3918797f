"""What both commands share: exit codes, messages, progress, the overview. stdout is the result, stderr the rest."""

from __future__ import annotations

import io
import logging
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...errors import CvportError, InputError, UsageError
from ...models.registry import known_names
from ...models.spec import VariantOptions
from ..backends.registry import BACKENDS, why_not

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

INTERRUPTED = 130  # what shells report for a program ended by Ctrl-C
_EXPORT_NEEDS = ("torch", "onnx", "onnxscript", "onnxsim")


def run_command(command: click.Command, args: Sequence[str] | None = None) -> int:
    """Run a click command and return its exit code; every error becomes a message on stderr."""
    for stream in (sys.stdout, sys.stderr):
        # The name of a file need not be text, and a terminal may know few characters: those are escaped.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = command.main(args=args, standalone_mode=False)
    except SystemExit:
        # click's answer to a reader of stdout that has gone, as `| head` does: not an error of ours.
        return 0
    except (Exception, KeyboardInterrupt) as error:
        return _report(error)
    return code if isinstance(code, int) else 0


def _report(error: BaseException) -> int:
    """Print an error and return its exit code."""
    if isinstance(error, CvportError):
        show_error(error)
        return error.exit_code
    if isinstance(error, click.ClickException):
        error.show(sys.stderr)
        return UsageError.exit_code
    if isinstance(error, click.Abort | KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    logging.getLogger(__name__).info("internal error", exc_info=error)
    click.echo(f"internal error: {type(error).__name__}: {error}", err=True)
    click.echo("This is a defect of cvport. Run again with -v and report what it prints.", err=True)
    return CvportError.exit_code


def show_error(error: CvportError, where: str = "") -> None:
    """Print an error and its next step to stderr."""
    prefix = f"{where}: " if where and where not in error.message else ""
    click.echo(f"error: {prefix}{error.message}", err=True)
    if error.hint:
        click.echo(f"  {error.hint}", err=True)


def set_verbosity(quiet: bool, verbose: bool) -> None:
    """Set what the package's loggers print to stderr."""
    level = logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr, force=True)


@contextmanager
def progress(quiet: bool) -> Iterator[Callable[[str], None]]:
    """Yield a function that shows the current step on stderr; silent with *quiet* or without a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda _step: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda step: bar.update(task, description=step)


def variant_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that fix a variant."""
    for option in (
        click.option(
            "--labels",
            type=click.Path(path_type=Path),
            metavar="FILE|NAME",
            help="Class names, one a line, or the name of a list of the model.",
        ),
        click.option("--activation", metavar="NAME", help="For yolox: silu or relu; the tensors do not tell."),
        click.option("--preprocess", metavar="NAME", help="For yolox: easycv, megvii or megvii-legacy."),
        click.option("--input-size", metavar="H[,W]", help="Of the network input."),
    ):
        command = option(command)
    return command


def take_variant_options(options: dict[str, Any]) -> VariantOptions:
    """Take the values of `variant_options` out of a command's options, and return them in their parsed form.

    Raises:
        UsageError: A size that is not H or H,W.
        InputError: A label file that cannot be read.

    """
    input_size, labels = options.pop("input_size"), options.pop("labels")
    return VariantOptions(
        None if input_size is None else _parse_size(input_size),
        options.pop("preprocess"),
        options.pop("activation"),
        _choose_labels(labels),
    )


def _parse_size(text: str) -> tuple[int, int]:
    sides = text.replace("x", ",").split(",")
    if len(sides) not in (1, 2) or not all(side.strip().isdecimal() for side in sides):
        raise UsageError(f"{text!r} is not an input size", "Give H or H,W in pixels, for example 416 or 320,640.")
    return int(sides[0]), int(sides[-1])


def _choose_labels(value: Path | None) -> tuple[str, ...] | str | None:
    """Return the lines of a label file; what is no file and has no ending may name a list of the model."""
    if value is None or (not value.exists() and not value.suffix and len(value.parts) == 1):
        return None if value is None else str(value)
    return _read_labels(value)


def _read_labels(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot read the labels {path}: {error}", "Give a UTF-8 text file, one label a line."
        ) from error
    labels = tuple(line.strip() for line in lines if line.strip())
    if not labels:
        raise InputError(f"no labels in {path}", "Give one label a line.")
    return labels


def overview() -> str:
    """Return what is installed, what can run here, and three commands to copy; at most 20 lines."""
    lines = [f"cvport {_version('cvport')}: checkpoint -> verified ONNX -> the same results on every backend", ""]
    packages = ("numpy", "opencv-python-headless", "onnxruntime", *_EXPORT_NEEDS)
    lines.append("installed  " + ", ".join(f"{name} {_version(name)}" for name in packages))
    lines.append("models     " + ", ".join(known_names()) + "  (what they find: cvexport list)")
    for name, entry in BACKENDS.items():
        reason = why_not(name)
        state = "ready" if reason is None else "not here: " + " - ".join(reason.splitlines())
        lines.append(f"backend    {name:6} {entry.summary}: {state}")
    missing = [name for name in _EXPORT_NEEDS if _version(name) == "missing"]
    needs = f"not here: {', '.join(missing)} missing - pip install 'cvport[export]'" if missing else "ready"
    lines += [
        f"export     {needs}",
        "",
        "cvexport yolox --weights seeded      export untrained weights, to try it out",
        "cvexport yolox --weights FILE.pth    export a checkpoint, checked against PyTorch",
        "cvrun --backend onnx image.jpg       run what was exported",
    ]
    return "\n".join(lines)


def _version(package: str) -> str:
    import importlib.metadata  # 14 ms, for this one page

    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing"
