"""``cvrun``: run a model on images."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ...errors import CvportError, InputError, UsageError
from ...models.lazy import resolve
from .. import pipeline
from ..arrangement import arrange
from ..backends.registry import BACKENDS, choose_backend
from ..kinds.text import counted
from ..load import find_exported_file, is_exported_file
from ..sinks.base import RunInfo
from ..sinks.registry import FORMATS
from ..sources.registry import open_sources
from . import notes
from .console import INTERRUPTED, ErrorSink, all_imported, overview, progress_bar, run_command, set_verbosity
from .options import (
    SETTINGS,
    SectionedCommand,
    backend_options,
    download_options,
    model_options,
    open_predictor,
    option_group,
    setting_options,
    source_options,
    take_source_options,
    take_variant_options,
    verbosity_options,
)
from .outputs import choose_output, open_output, resumed

if TYPE_CHECKING:
    from ...models.spec import ModelSpec
    from ..arrangement import Arrangement
    from ..chain import Chain
    from ..kinds.base import Kind
    from ..predictor import Predictor
    from ..sinks.base import Sink
    from ..sinks.images import ImageTarget
    from ..sources.base import Item, Source
    from .chains import Link
    from .console import ProgressBar

_EXAMPLES = """\b
Examples:
  cvrun image.jpg
  cvrun -m artifacts/yolox/yolox.onnx --conf 0.5 --format json photos/ > found.json
  cvrun -m yolox --weights yolox_nano.pth --backend torch --save out/ 'photos/*.jpg'
  cvrun -m landmarks68 --face 176,62,274,186 --contour --save out/ people.jpg
  cvrun -m emotion --batch-size 8 --lang zh faces/
  cvrun --chain nanodet:face,landmarks68 --save out/ people.jpg
  cvrun -o found.jsonl --resume --recursive photos/
  cvrun --vid-stride 5 --save out/ film.mp4
"""
# How a shell asks for completions (click.palletsprojects.com, shell completion).
_COMPLETION = "_CVRUN_COMPLETE"
_FACE_SIDES = 4
# Several rows of a small input fill a core better than one: a tenth more images a second. A large one does by itself.
_SMALL_INPUT, _SMALL_BATCH, _MANY_A_WORKER = 416, 4, 16
# Options that a kind of result has if its drawing has the style.
_STYLES = {"contour": "contours", "numbers": "numbers"}


_places = option_group(
    "What is found",
    click.option("--face", "faces", multiple=True, metavar="X1,Y1,X2,Y2", help="Face box in pixels; may be repeated."),
    click.option("--cropped", is_flag=True, help="The image is one face: the whole image is used, as without --face."),
    click.option("--chain", metavar="A[:CLASS],B", help="Models in a row: B looks at the boxes that A finds."),
    click.option(
        "--boxes", type=click.Path(path_type=Path), metavar="FILE", help="Boxes to look at: results of ours, COCO .."
    ),
)
_speed = option_group(
    "Backend and speed",
    click.option("--batch-size", type=click.IntRange(min=1), help="Maximum number of images or faces run together."),
    click.option(
        "--workers", type=click.IntRange(min=1), help="Images worked on at the same time; else as many as fit."
    ),
)
_output = option_group(
    "Results",
    click.option(
        "--format", "form", type=click.Choice(list(FORMATS)), help="Format of results; else table, or that of --output."
    ),
    click.option("-o", "--output", metavar="FILE|DIR/", help="Write results to a file, beside a table on the screen."),
    click.option("--resume", is_flag=True, help="Go on with the results that --output has; skip what is done."),
    click.option("--annotations", type=click.Path(path_type=Path), help="COCO dataset whose ids --format coco takes."),
    click.option(
        "--lang",
        type=click.Choice(list(notes.LANGUAGES)),
        default="en",
        show_default=True,
        help="Language of class names in images and in the table.",
    ),
)
_drawing = option_group(
    "Images",
    click.option("--save", metavar="DIR|FILE", help="Write annotated images, or a video."),
    click.option(
        "--crops", type=click.Path(path_type=Path), metavar="DIR", help="Write what is in each box as an image."
    ),
    click.option("--contour", is_flag=True, help="Draw the contours of faces."),
    click.option("--numbers", is_flag=True, help="Draw the numbers of points."),
    click.option(
        "--labels-shown",
        type=click.Choice(["auto", "all", "none"]),
        default="auto",
        show_default=True,
        help="Labels drawn: those with room for them, all or none.",
    ),
)
_log_file = option_group(
    "Messages",
    click.option("--log-file", type=click.Path(path_type=Path), metavar="FILE", help="Write what -v shows to a file."),
)


@click.command(cls=SectionedCommand, epilog=_EXAMPLES, context_settings=SETTINGS)
@click.argument("sources", nargs=-1, metavar="SOURCE...")
@model_options
@download_options
@backend_options
@_speed
@source_options
@setting_options
@_places
@_output
@_drawing
@verbosity_options
@_log_file
@click.version_option(package_name="cvport")
def cvrun(
    *,
    sources: tuple[str, ...],
    backend: str,
    quiet: bool,
    verbose: bool,
    **options: Any,  # noqa: ANN401
) -> int:
    """Run a model on images: files, folders, patterns."""
    set_verbosity(quiet, verbose, options["log_file"])
    links = _links(options)
    options["words"] = list(sources)
    networks = options["weights"] is not None or not is_exported_file(options["model"])
    backend_name = choose_backend(backend, options["device"], networks=networks)
    if not sources:
        raise UsageError("no SOURCE", "Give files, folders or patterns: cvrun image.jpg")
    options["results"] = choose_output(options)
    options["target"] = _image_target(options["save"])
    options["faces"] = [_parse_face(text) for text in options["faces"]]
    wanted = take_source_options(options)
    options |= {"variant": take_variant_options(options), **asdict(wanted)}
    source = open_sources(sources, wanted)
    spread = _spread(backend_name, source.total, options)
    sizes = {"batch_size": options["batch_size"], "threads": spread.threads}
    with (
        _open_chain(backend_name, options, links, sizes)
        if links
        else open_predictor(backend_name, options, **sizes) as predictor
    ):
        info = RunInfo.of(predictor, _names(predictor, options["lang"]))
        _check(predictor.spec, info.kind, options)
        if not quiet:
            lines = notes.header(backend, predictor, info)
            _say([*lines, *notes.untranslated(options["lang"], info.names, info.labels)])
        all_imported()
        return _run(predictor, info, source, quiet, {**options, "workers": spread.workers})


def _links(options: dict[str, Any]) -> list[Link]:
    """Return the models of ``--chain``; the first stands for all where the backend and the cores are chosen."""
    if options["chain"] is None and options["boxes"] is None:
        return []
    from . import chains

    if options["chain"] is None:
        if options["faces"] or options["cropped"]:
            raise UsageError("--boxes names the boxes", "Leave out --face and --cropped.")
        return [chains.Link(options["model"], (), options["weights"])]
    named = click.get_current_context().get_parameter_source("model") is not ParameterSource.DEFAULT
    flags = {"-m": named, "--face": options["faces"], "--cropped": options["cropped"]}
    given = [flag for flag, is_given in flags.items() if is_given]
    if given:
        raise UsageError("--chain names its own models and boxes", f"Leave out {', '.join(given)}.")
    links = chains.parse_chain(options["chain"], options["weights"])
    options["model"] = links[0].model
    return links


def _open_chain(backend: str, options: dict[str, Any], links: list[Link], sizes: dict[str, Any]) -> Chain:
    """Open the models of ``--chain`` and the boxes of ``--boxes``."""
    from ..stored import StoredBoxes
    from .chains import open_chain

    stored = None if options["boxes"] is None else StoredBoxes(options["boxes"])
    options["stored"] = None if stored is None else stored.of
    return open_chain(backend, options, links, stored, **sizes)


def _names(predictor: Predictor | Chain, lang: str) -> dict[str, str]:
    """Return what people read instead of labels in a language, of all models."""
    found: dict[str, str] = {}
    for member in predictor.members:
        found |= member.spec.translations.get(lang, {})
    return found


def _spread(backend: str, total: int | None, options: dict[str, Any]) -> Arrangement:
    """Return how the run is spread over the cores."""
    on_cpu = (options["device"] or "cpu") == "cpu" and options["providers"] in (None, "cpu")
    shares = BACKENDS[backend].shares_cores and on_cpu
    path = None
    if shares:
        with suppress(CvportError):  # told when the file is opened
            path = find_exported_file(options["model"])
    return arrange(total, shares=shares, path=path, workers=options["workers"], threads=options["threads"])


def _check(spec: ModelSpec, kind: Kind, options: dict[str, Any]) -> None:
    """Refuse options that do not fit the model, before anything is run."""
    if not spec.takes_boxes:
        given = [option for option, name in (("--face", "faces"), ("--cropped", "cropped")) if options[name]]
        if given:
            raise UsageError(f"{spec.name} looks at whole images, not at faces", f"Leave out {', '.join(given)}.")
    if options["faces"] and options["cropped"]:
        raise UsageError("--cropped says that the image is the face, --face that it is a part", "Give one of them.")
    unfit = [f"--{option}" for option, style in _STYLES.items() if options[option] and style not in kind.styles]
    if unfit:
        raise UsageError(f"{', '.join(unfit)} does not fit {spec.name}, which gives {kind.name}", "Leave it out.")


def _check_count(total: int | None, options: dict[str, Any]) -> None:
    """Refuse options that belong to one image where there are several."""
    if total is None or total > 1:
        count = "several" if total is None else str(total)
        if options["target"] is not None and options["target"].is_file:
            raise UsageError(f"--save {options['save']} is one file, there are {count} images", "Give a folder.")
        if options["faces"]:
            raise UsageError(f"--face belongs to one image, there are {count}", "Run them one by one.")


def _run(predictor: Predictor | Chain, info: RunInfo, source: Source, quiet: bool, options: dict[str, Any]) -> int:
    """Run every source that can be read; what cannot is told and does not stop the others."""
    _check_count(source.total, options)
    with ExitStack() as stack:
        bar = stack.enter_context(progress_bar(source.total, quiet))
        source, progress = resumed(options["results"], source, predictor, options)
        output = stack.enter_context(open_output(options["results"], info, bar.out(), options["annotations"], progress))
        if not quiet:
            _say(list(source.notes))

        def after(item: Item) -> None:
            bar.advance()
            if progress is not None and output.file is not None:
                progress.note(item, output.file)

        summary = pipeline.run(
            source,
            predictor,
            [ErrorSink(bar), *output.sinks, *_pictures(info, bar, quiet, options)],
            batch_size=options["batch_size"] or _batch_size(predictor, source.total, options["workers"]),
            face_boxes=options.get("stored") or options["faces"] or None,
            workers=options["workers"],
            after=after,
        )
    if summary.interrupted:
        _say([f"interrupted after {counted(summary.images, 'image')}"])
        return INTERRUPTED
    if not quiet:
        _say([notes.summary_line(summary)] if source.total != 1 else [])
        _say(notes.empty_hint(predictor) if summary.images and not summary.found else [])
    return InputError.exit_code if summary.errors else 0


def _batch_size(predictor: Predictor | Chain, total: int | None, workers: int) -> int:
    """Return how many images run together: the model's own choice, more for a small network with many of them."""
    usual = predictor.spec.batch_size
    seal = predictor.seal
    if seal is None or seal.batch != "dynamic" or max(seal.input_size) > _SMALL_INPUT:
        return usual
    many = total is not None and total >= _MANY_A_WORKER * workers and workers > 1
    return max(usual, _SMALL_BATCH) if many else usual


def _pictures(info: RunInfo, bar: ProgressBar, quiet: bool, options: dict[str, Any]) -> list[Sink]:
    """Return where images go: annotated ones, and what is in boxes."""
    sinks: list[Sink] = []
    if options["target"] is not None:
        from ..sinks.images import ImageSink

        sinks.append(
            ImageSink(
                options["target"],
                info.backend,
                tell=(lambda _path: None) if quiet else (lambda path: bar.say(f"saved {path}")),
                **_style(info, bar, quiet, options),
            )
        )
    if options["crops"] is not None:
        from ..sinks.crops import CropSink

        sinks.append(CropSink(info, options["crops"]))
    return sinks


def _style(info: RunInfo, bar: ProgressBar, quiet: bool, options: dict[str, Any]) -> dict[str, Any]:
    """Return what drawing takes besides the image and the result."""
    from ..kinds.drawing import chinese_font

    names = info.names
    if names and chinese_font() is None:
        names = {}
        if not quiet:
            bar.say("note: no Chinese font, names are drawn in English; pip install 'cvport[zh]'")
    return {
        "names": names,
        "note": "untrained weights" if info.untrained else "",
        "labels_shown": options["labels_shown"],
        **{style: True for option, style in _STYLES.items() if options[option]},
    }


def _image_target(text: str | None) -> ImageTarget | None:
    """Return what ``--save`` means; None where it was not given."""
    if text is None:
        return None
    from ..sinks.images import ImageTarget

    return ImageTarget.parse(text)


def _parse_face(text: str) -> tuple[float, ...]:
    try:
        box = tuple(float(side) for side in text.split(","))
    except ValueError:
        box = ()
    if len(box) != _FACE_SIDES:
        raise UsageError(f"--face {text} is not x1,y1,x2,y2", "Give four numbers in pixels: --face 176,62,274,186")
    return box


def _say(lines: list[str]) -> None:
    for line in lines:
        click.echo(line, err=True)


# Commands by their first word: (where the command is, what it does). Any other word is a source.
COMMANDS = {
    "compare": (".compare:compare_command", "run images two ways, and say what differs"),
    "bench": (".bench:bench", "measure how fast a model runs"),
    "check": (".check:check", "check that a file computes on this machine what it should"),
    "eval": (".evaluate:evaluate", "measure how good its results are"),
}


def main() -> None:
    """Entry point."""
    first, rest = sys.argv[1:2], sys.argv[2:]
    if not first and _COMPLETION not in os.environ:
        click.echo(overview())
    elif first and first[0] in COMMANDS:
        all_imported()
        sys.exit(run_command(resolve(COMMANDS[first[0]][0], __package__ or ""), rest, f"cvrun {first[0]}"))
    else:
        sys.exit(run_command(cvrun))
