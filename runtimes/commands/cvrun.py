"""``cvrun``: run a model on images."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from ...errors import InputError, UsageError
from .. import pipeline
from ..backends.registry import choose_backend
from ..kinds.text import counted
from ..load import is_exported_file, load
from ..sinks.base import RunInfo
from ..sinks.images import ImageSink, ImageTarget
from ..sinks.registry import FORMATS, open_format
from ..sources.images import MAX_PIXELS
from ..sources.registry import open_sources
from . import notes
from .console import INTERRUPTED, ErrorSink, overview, progress_bar, run_command, set_verbosity
from .options import download_options, take_variant_options, variant_options, verbosity_options, weights_option

if TYPE_CHECKING:
    from ...models.spec import ModelSpec
    from ..kinds.base import Kind
    from ..predictor import Predictor
    from ..sinks.base import Sink
    from .console import ProgressBar

_EXAMPLES = """\b
Examples:
  cvrun image.jpg
  cvrun -m artifacts/yolox/yolox.onnx --conf 0.5 --format json photos/ > found.json
  cvrun -m yolox --weights yolox_nano.pth --backend torch --save out/ 'photos/*.jpg'
  cvrun -m landmarks68 --face 176,62,274,186 --contour --save out/ people.jpg
  cvrun -m emotion --batch-size 8 --lang zh faces/
"""
_FACE_SIDES = 4
# Options that a kind of result has if its drawing has the style.
_STYLES = {"contour": "contours", "numbers": "numbers"}


@click.command(epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("sources", nargs=-1, metavar="SOURCE...")
@click.option("-m", "--model", default="yolox", show_default=True, metavar="NAME|FILE.onnx", help="Model to run.")
@weights_option(" (for the backends torch and npu)")
@variant_options
@click.option("--backend", default="auto", show_default=True, metavar="NAME", help="Backend: auto, npu, onnx or torch.")
@click.option("--device", metavar="NAME", help="Device, such as cpu, cuda:0 or npu:0; else the backend's default.")
@click.option("--precision", metavar="NAME", help="Precision of the NPU: strict (the default), production or fp16.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of the network.")
@click.option("--conf", type=click.FloatRange(0, 1), help="Score threshold.")
@click.option("--iou", type=click.FloatRange(0, 1), help="IoU threshold of non-maximum suppression.")
@click.option("--max-det", type=click.IntRange(min=1), help="Maximum number of detections per image.")
@click.option("--classes", metavar="A,B", help="Classes to report, by name or number; else all.")
@click.option("--agnostic-nms", is_flag=True, default=None, help="Suppress overlapping boxes across classes.")
@click.option("--face", "faces", multiple=True, metavar="X1,Y1,X2,Y2", help="Face box in pixels; may be repeated.")
@click.option("--cropped", is_flag=True, help="The image is one face: the whole image is used, as without --face.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Maximum number of images or faces run together.")
@click.option("--save", metavar="DIR|FILE", help="Write annotated images.")
@click.option("--contour", is_flag=True, help="Draw the contours of faces.")
@click.option("--numbers", is_flag=True, help="Draw the numbers of points.")
@click.option(
    "--labels-shown",
    type=click.Choice(["auto", "all", "none"]),
    default="auto",
    show_default=True,
    help="Labels drawn: those with room for them, all or none.",
)
@click.option(
    "--lang",
    type=click.Choice(list(notes.LANGUAGES)),
    default="en",
    show_default=True,
    help="Language of class names in images and in the table.",
)
@click.option(
    "--format", "form", type=click.Choice(list(FORMATS)), default="table", show_default=True, help="Format on stdout."
)
@click.option("--max-pixels", type=click.IntRange(min=1), default=MAX_PIXELS, help="Refuse images of more pixels.")
@download_options
@verbosity_options
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
    set_verbosity(quiet, verbose)
    networks = options["weights"] is not None or not is_exported_file(options["model"])
    backend_name = choose_backend(backend, options["device"], networks=networks)
    if not sources:
        raise UsageError("no SOURCE", "Give files, folders or patterns: cvrun image.jpg")
    options["target"] = None if options["save"] is None else ImageTarget.parse(options["save"])
    options["faces"] = [_parse_face(text) for text in options["faces"]]
    with _load(backend_name, options) as predictor:
        info = RunInfo.of(predictor, predictor.spec.translations.get(options["lang"], {}))
        _check(predictor.spec, info.kind, options)
        if not quiet:
            lines = notes.header(backend, predictor, info)
            _say(lines + notes.untranslated(options["lang"], info.names, info.labels))
        return _run(predictor, info, sources, quiet, options)


def _load(backend: str, options: dict[str, Any]) -> Predictor:
    variant = take_variant_options(options)
    classes = options["classes"]
    return load(
        options["model"],
        backend=backend,
        weights=options["weights"],
        options=variant,
        device=options["device"],
        threads=options["threads"],
        precision=options["precision"],
        score_threshold=options["conf"],
        iou_threshold=options["iou"],
        max_detections=options["max_det"],
        class_agnostic=options["agnostic_nms"],
        classes=None if classes is None else [name.strip() for name in classes.split(",")],
        batch_size=options["batch_size"],
        offline=options["offline"],
        cache_dir=options["cache_dir"],
    )


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


def _run(predictor: Predictor, info: RunInfo, words: tuple[str, ...], quiet: bool, options: dict[str, Any]) -> int:
    """Run every source that can be read; what cannot is told and does not stop the others."""
    source = open_sources(words, options["max_pixels"])
    _check_count(source.total, options)
    with progress_bar(source.total, quiet) as bar:
        summary = pipeline.run(
            bar.watch(source),
            predictor,
            _sinks(info, bar, quiet, options),
            batch_size=options["batch_size"] or predictor.spec.batch_size,
            face_boxes=options["faces"] or None,
        )
    if summary.interrupted:
        _say([f"interrupted after {counted(summary.images, 'image')}"])
        return INTERRUPTED
    if not quiet:
        _say([notes.summary_line(summary)] if source.total != 1 else [])
        _say(notes.empty_hint(predictor) if summary.images and not summary.found else [])
    return InputError.exit_code if summary.errors else 0


def _sinks(info: RunInfo, bar: ProgressBar, quiet: bool, options: dict[str, Any]) -> list[Sink]:
    """Return where results go: errors to stderr, the result to stdout, annotated images to files."""
    sinks: list[Sink] = [ErrorSink(bar), open_format(options["form"], info, bar.out())]
    if options["target"] is not None:
        sinks.append(
            ImageSink(
                options["target"],
                info.backend,
                tell=(lambda _path: None) if quiet else (lambda path: bar.say(f"saved {path}")),
                **_style(info, bar, quiet, options),
            )
        )
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


def main() -> None:
    """Entry point."""
    if len(sys.argv) == 1:
        click.echo(overview())
        return
    sys.exit(run_command(cvrun))
