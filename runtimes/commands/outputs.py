"""``--output``, ``--format`` and ``--resume``: where the results of a run go."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import UsageError
from ..sinks.registry import FORMATS, format_of, open_format

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..chain import Chain
    from ..predictor import Predictor
    from ..resume import Progress
    from ..sinks.base import RunInfo, Sink
    from ..sinks.output import OutFile
    from ..sinks.text import TextOut
    from ..sources.base import Source


class OutputChoice(NamedTuple):
    """What a user wants of results.

    Attributes:
        form: Name of the format.
        path: The file or the folder; None is standard output.
        resume: Whether to go on with what is there.

    """

    form: str
    path: Path | None = None
    resume: bool = False


class Output(NamedTuple):
    """Where results go.

    Attributes:
        sinks: All of them.
        file: The file among them; None where there is none.

    """

    sinks: Sequence[Sink]
    file: OutFile | None


def choose_output(options: dict[str, Any]) -> OutputChoice:
    """Return what ``--output``, ``--format`` and ``--resume`` mean together.

    Raises:
        UsageError: They contradict each other.

    """
    form, text, resume = options["form"], options["output"], options["resume"]
    if text is None:
        if form is not None and FORMATS[form].in_folder:
            raise UsageError(f"{form} is a file for each image", f"Name a folder for them: --format {form} -o labels/")
        if resume:
            raise UsageError("--resume goes on with a file of results", "Name it: --resume -o found.jsonl")
        return OutputChoice(form or "table")
    path = Path(text)
    is_folder = text.endswith(("/", os.sep)) or path.is_dir()
    form = form or ("yolo" if is_folder else format_of(path))
    if form is None:
        raise UsageError(f"-o {text}: the ending tells no format", f"Name one: --format {' or '.join(FORMATS)}")
    if FORMATS[form].in_folder != is_folder:
        what = "a file for each image: -o DIR/" if FORMATS[form].in_folder else "one file: -o FILE"
        raise UsageError(f"-o {text} does not fit {form}", f"It is {what}")
    if resume and (is_folder or FORMATS[form].whole):
        raise UsageError(f"{form} cannot be resumed", "Use jsonl or csv, which are written line by line.")
    if resume and (options["save"] is not None or options["crops"] is not None):
        raise UsageError("--resume goes on with results, not with images", "Leave out --save and --crops.")
    return OutputChoice(form, path, resume)


def resumed(
    choice: OutputChoice, source: Source, predictor: Predictor | Chain, options: dict[str, Any]
) -> tuple[Source, Progress | None]:
    """Return what of a source is left to do, and how far the run came; None where that is not written down.

    Raises:
        UsageError: The results there are of another run.
        InputError: What was written down cannot be read.

    """
    entry, path = FORMATS[choice.form], choice.path
    if path is None or entry.whole or entry.in_folder or (path.exists() and not path.is_file()):
        return source, None
    from ..resume import Progress, Rest, run_of

    names = ("faces", "vid_stride", "recursive", "max_pixels", "chain")
    rest = {"format": choice.form, "boxes": str(options["boxes"]), **{name: options.get(name) for name in names}}
    run: dict[str, Any] = {"sources": options["words"], **rest}
    for number, member in enumerate(predictor.members):
        run |= {f"{name} of model {number + 1}" if number else name: value for name, value in run_of(member).items()}
    progress = Progress(path, run)
    if not choice.resume:
        progress.forget()
    elif progress.load():
        return Rest(source, progress.done, progress.last), progress
    return source, progress


@contextmanager
def open_output(
    choice: OutputChoice, info: RunInfo, screen: TextOut, annotations: Path | None, progress: Progress | None
) -> Iterator[Output]:
    """Open where results go: standard output, or a file and a table on the screen.

    Raises:
        UsageError: The format has no place for these results.
        InputError: The file cannot be written.

    """
    if choice.path is None:
        yield Output([open_format(choice.form, info, screen, annotations)], None)
        return
    from ..sinks.output import OutFile

    table = open_format("table", info, _Beside(screen))
    entry = FORMATS[choice.form]
    if entry.in_folder:
        yield Output([open_format(choice.form, info, choice.path, annotations), table], None)
        return
    resume_at = progress.size if progress is not None and progress.done else None
    with OutFile(choice.path, whole=entry.whole, resume_at=resume_at) as file:
        yield Output([open_format(choice.form, info, file, annotations), table], file)


class _Beside:
    """The screen beside a file of results: where its reader leaves, as of ``| head``, the file goes on."""

    def __init__(self, screen: TextOut) -> None:
        self._screen: TextOut | None = screen

    def write(self, text: str, /) -> None:
        """Write text, as long as somebody reads."""
        if self._screen is None:
            return
        try:
            self._screen.write(text)
            self._screen.flush()
        except BrokenPipeError:
            self._screen = None
            # What is left in the buffer would fail again when the program ends.
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def flush(self) -> None:
        """Do nothing: all is flushed."""
