"""What both commands share: exit codes, messages, progress, the overview. stdout is the result, stderr the rest."""

from __future__ import annotations

import gc
import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from ...errors import CvportError, InputError, UsageError
from ...models.printable import printable
from ...models.registry import known_names
from ..backends.registry import BACKENDS, unavailable_reason
from .terminal import drawing, escaped_output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from rich.progress import Progress

    from ..sinks.base import Failure, Prediction
    from ..sinks.text import TextOut

INTERRUPTED = 130  # what shells report for a program ended by Ctrl-C
_EXPORT_NEEDS = ("torch", "onnx", "onnxscript", "onnxsim")


def all_imported() -> None:
    """Collect garbage from now on, but for what is there already."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def run_command(command: click.Command, args: Sequence[str] | None = None, name: str | None = None) -> int:
    """Run a click command and return its exit code; every error becomes a message on stderr."""
    with escaped_output():
        try:
            code = command.main(args=args, prog_name=name, standalone_mode=False)
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
    if isinstance(error, MemoryError):
        click.echo("error: there is not enough memory", err=True)
        click.echo("  Use fewer --workers, a smaller --batch-size, or smaller images.", err=True)
        return CvportError.exit_code
    if isinstance(error, OSError):
        # Of files each has its own message; what is left is mostly stdout, on a full disk or over a limit of size.
        show_error(InputError(f"the system refuses: {error}", "If results go to a file, look at the space there."))
        return InputError.exit_code
    logging.getLogger(__name__).info("internal error", exc_info=error)
    click.echo(f"internal error: {type(error).__name__}: {error}", err=True)
    click.echo("This is a defect of cvport. Run again with -v and report what it prints.", err=True)
    return CvportError.exit_code


def show_error(error: CvportError, where: str = "") -> None:
    """Print an error and its next step to stderr."""
    message = error.message if where in error.message else f"{where}: {error.message}"
    # A file may be called as a line of ours.
    message = message.replace(where, printable(where)) if where else message
    click.echo(f"error: {message}", err=True)
    if error.hint:
        click.echo(f"  {error.hint}", err=True)


def set_verbosity(quiet: bool, verbose: bool, log_file: Path | None = None) -> None:
    """Set what the package's loggers print to stderr, and where they write all that -v shows, with times.

    Raises:
        InputError: The file cannot be written.

    """
    level = logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING
    screen = logging.StreamHandler(sys.stderr)
    screen.setLevel(level)
    handlers: list[logging.Handler] = [screen]
    if log_file is not None:
        try:
            file = _LogFile(log_file, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise InputError(f"cannot write {log_file}: {error.strerror}", "Choose another --log-file.") from error
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handlers.append(file)
    lowest = logging.INFO if log_file is not None else level
    logging.basicConfig(level=lowest, format="%(message)s", handlers=handlers, force=True)


class _LogFile(logging.FileHandler):
    """A log file that is left alone where it can no longer be written."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802  # as logging has it
        """Tell it once, in the place of a traceback for each line."""
        logging.getLogger().removeHandler(self)
        click.echo(f"the log file cannot be written: {sys.exception()}", err=True)


@contextmanager
def progress(quiet: bool) -> Iterator[Callable[[str], None]]:
    """Yield a function that shows the current step on stderr; silent with *quiet* or without a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda _step: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=drawing()), transient=True) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda step: bar.update(task, description=step)


@contextmanager
def progress_bar(total: int | None, quiet: bool) -> Iterator[ProgressBar]:
    """Yield a progress bar of *total* images; silent with *quiet*, for one image, and without a terminal."""
    if quiet or total == 1 or not sys.stderr.isatty():
        yield ProgressBar(None)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(file=drawing())
    if not console.is_interactive:  # a terminal that cannot move its cursor
        yield ProgressBar(None)
        return
    rate = TextColumn("{task.fields[rate]}")
    columns = (BarColumn(), MofNCompleteColumn(), rate, TimeElapsedColumn(), TimeRemainingColumn())
    # What is printed meanwhile goes through `ProgressBar.aside`; rich would send the result to stderr.
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as bar:
        bar.add_task("images", total=total, rate="")
        yield ProgressBar(bar)


class ProgressBar:
    """A bar on the terminal's last line that gives way to other output.

    Args:
        bar: What draws it; None shows nothing.

    """

    def __init__(self, bar: Progress | None) -> None:
        self._bar = bar

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the bar away while something else is printed on the terminal."""
        if self._bar is None:
            yield
            return
        self._bar.stop()
        try:
            yield
        finally:
            self._bar.start()

    def say(self, text: str) -> None:
        """Print a line to stderr."""
        with self.aside():
            click.echo(text, err=True)

    def out(self) -> TextOut:
        """Return stdout, before which the bar gives way where both are on a terminal."""
        return sys.stdout if self._bar is None or not sys.stdout.isatty() else _Aside(self)

    def advance(self) -> None:
        """Count an image."""
        if self._bar is not None:
            task = self._bar.tasks[0]
            rate = f"{task.speed:.0f} images/s" if task.speed else ""
            self._bar.update(task.id, advance=1, rate=rate)


class _Aside:
    """Stdout on the terminal of a bar, which is out of the way while text is written."""

    def __init__(self, bar: ProgressBar) -> None:
        self._bar = bar

    def write(self, text: str, /) -> None:
        """Write text and flush it, before the bar comes back."""
        with self._bar.aside():
            sys.stdout.write(text)
            sys.stdout.flush()

    def flush(self) -> None:
        """Do nothing: all is flushed."""


class ErrorSink:
    """Prints failures to stderr, around a progress bar."""

    def __init__(self, bar: ProgressBar) -> None:
        self._bar = bar

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def write(self, prediction: Prediction) -> None:
        """Do nothing: there is no error."""

    def fail(self, failure: Failure) -> None:
        """Print an error."""
        with self._bar.aside():
            show_error(failure.error, failure.source)


def overview() -> str:
    """Return what is installed, what can run here, and three commands to copy; at most 20 lines."""
    lines = [f"cvport {_version('cvport')}: checkpoint -> verified ONNX -> the same results on every backend", ""]
    packages = ("numpy", "opencv-python-headless", "onnxruntime", *_EXPORT_NEEDS)
    lines.append("installed  " + ", ".join(f"{name} {_version(name)}" for name in packages))
    lines.append("models     " + ", ".join(known_names()) + "  (what they find: cvexport list)")
    for name, entry in BACKENDS.items():
        reason = unavailable_reason(name)
        state = "ready" if reason is None else "not here: " + " - ".join(reason.splitlines())
        lines.append(f"backend    {name:6} {entry.summary}: {state}")
    missing = missing_for_export()
    needs = f"not here: {', '.join(missing)} missing - pip install 'cvport[export]'" if missing else "ready"
    lines += [
        f"export     {needs}",
        "",
        "cvexport yolox --weights sample      export small trained weights that come along, to try it out",
        "cvexport yolox --weights FILE.pth    export a checkpoint, checked against PyTorch",
        "cvrun --backend onnx image.jpg       run what was exported",
    ]
    return "\n".join(lines)


def missing_for_export() -> list[str]:
    """Return the packages that an export needs and that are not installed."""
    return [name for name in _EXPORT_NEEDS if _version(name) == "missing"]


def _version(package: str) -> str:
    import importlib.metadata  # 14 ms, for this one page

    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing"
