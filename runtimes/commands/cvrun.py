"""``cvrun``: run a model on pictures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from ...errors import InputError, UsageError
from ..backends.registry import choose_backend
from ..predictor import load
from ..sinks.formats import FORMATS, Prediction, Run, check_format
from ..sinks.images import PictureSaver
from ..sources.images import MAX_PIXELS, find_images, read_image
from .console import overview, run_command, set_verbosity, show_error, take_variant_options, variant_options

if TYPE_CHECKING:
    from ..predictor import Predictor

_EXAMPLES = """\b
Examples:
  cvrun image.jpg
  cvrun -m artifacts/yolox/yolox.onnx --conf 0.5 --format json photos/ > found.json
  cvrun -m yolox --weights yolox_nano.pth --backend torch --save out/ 'photos/*.jpg'
  cvrun -m landmarks68 --face 176,62,274,186 --contour --save out/ people.jpg
  cvrun -m emotion --batch-size 8 --lang zh faces/
"""
_FACE_SIDES = 4


@click.command(epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("sources", nargs=-1, metavar="SOURCE...")
@click.option("-m", "--model", default="yolox", show_default=True, metavar="NAME|FILE.onnx", help="What to run.")
@click.option("--weights", metavar="W", help="For torch, npu: a file, folder, ms:ORG/MODEL, hf:ORG/MODEL, seeded[:N].")
@variant_options
@click.option("--backend", default="auto", show_default=True, metavar="NAME", help="auto, npu, onnx or torch.")
@click.option("--device", metavar="NAME", help="cpu, cuda:0, npu:0 ...; the backend's default where not given.")
@click.option("--precision", metavar="NAME", help="For npu: strict (the default), production or fp16.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of the network.")
@click.option("--conf", type=click.FloatRange(0, 1), help="Score threshold.")
@click.option("--iou", type=click.FloatRange(0, 1), help="IoU threshold of non-maximum suppression.")
@click.option("--max-det", type=click.IntRange(min=1), help="Keep at most so many detections a picture.")
@click.option("--classes", metavar="A,B", help="Report only these classes, by name or number.")
@click.option("--agnostic-nms", is_flag=True, default=None, help="Suppress across classes.")
@click.option("--face", "faces", multiple=True, metavar="X1,Y1,X2,Y2", help="A face to look at; may be repeated.")
@click.option("--cropped", is_flag=True, help="The picture is one face: all of it is looked at, as without --face.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Pictures or faces that are run together at most.")
@click.option("--save", type=click.Path(path_type=Path), metavar="DIR|FILE", help="Write annotated pictures.")
@click.option("--contour", is_flag=True, help="Draw the contours of faces.")
@click.option("--numbers", is_flag=True, help="Draw the numbers of points.")
@click.option("--lang", type=click.Choice(["en", "zh"]), default="en", help="Of class names, drawn or in the table.")
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="table", show_default=True)
@click.option("--max-pixels", type=click.IntRange(min=1), default=MAX_PIXELS, help="Refuse larger pictures.")
@click.option("--offline", is_flag=True, help="Never download weights.")
@click.option("--cache-dir", type=click.Path(path_type=Path), help="Where downloaded weights are kept.")
@click.option("-q", "--quiet", is_flag=True, help="Nothing on stderr but errors.")
@click.option("-v", "--verbose", is_flag=True, help="Say more on stderr.")
@click.version_option(package_name="cvport")
def cvrun(
    *,
    sources: tuple[str, ...],
    backend: str,
    quiet: bool,
    verbose: bool,
    **options: Any,  # noqa: ANN401
) -> int:
    """Run a model on pictures: files, folders, patterns."""
    set_verbosity(quiet, verbose)
    networks = options["weights"] is not None or not options["model"].lower().endswith(".onnx")
    backend_name = choose_backend(backend, options["device"], networks=networks)
    if not sources:
        raise UsageError("no SOURCE", "Give files, folders or patterns: cvrun image.jpg")
    with _load(backend_name, options) as predictor:
        _check(predictor, options)
        if not quiet:
            _announce(backend, predictor)
        return _run(predictor, sources, options)


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


def _announce(asked: str, predictor: Predictor) -> None:
    if asked == "auto":
        click.echo(f"backend: {predictor.backend.name} on {predictor.backend.device}", err=True)
    if getattr(predictor.backend, "settings", {}).get("simulated"):
        click.echo("note: the NPU is simulated; times and rounding are not an Ascend device's", err=True)
    if predictor.untrained:
        click.echo("note: these weights are untrained; the results mean nothing", err=True)


def _check(predictor: Predictor, options: dict[str, Any]) -> None:
    """Refuse options that do not fit the model, before anything is run."""
    spec = predictor.spec
    wrong = [f"--{name}" for name in ("faces", "cropped", "contour", "numbers") if options[name]]
    if wrong and spec.kind != "landmarks":
        raise UsageError(f"{spec.name} finds no faces' points: {', '.join(wrong).replace('--faces', '--face')}")
    if options["faces"] and options["cropped"]:
        raise UsageError("--cropped says that the picture is the face, --face that it is a part", "Give one of them.")
    check_format(options["form"], spec.kind)


def _names(predictor: Predictor, lang: str, *, drawn: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Return the class names that are printed and those that are drawn, for which there may be no font."""
    names = dict(predictor.spec.translations.get(lang, {}))
    if names and drawn:
        from ..kinds.drawing import chinese_font

        if chinese_font() is None:
            click.echo("note: no Chinese font, names are drawn in English; pip install 'cvport[zh]'", err=True)
            return names, {}
    return names, names


def _run(predictor: Predictor, sources: tuple[str, ...], options: dict[str, Any]) -> int:
    """Run every source that can be read; what cannot is told and does not stop the others."""
    faces = [_parse_face(text) for text in options["faces"]] or None
    paths, missing = find_images(sources)
    save = options["save"]
    names, drawn = _names(predictor, options["lang"], drawn=save is not None)
    note = "untrained weights" if predictor.untrained else ""
    style = {"contours": options["contour"], "numbers": options["numbers"], "names": drawn, "note": note}
    saver = None if save is None else PictureSaver(save, predictor.backend.name, **style)
    if saver is not None and saver.is_file and len(paths) > 1:
        raise UsageError(f"--save {save} is one file, there are {len(paths)} pictures", "Give a folder.")
    if faces and len(paths) > 1:
        raise UsageError(f"--face belongs to one picture, there are {len(paths)}", "Run them one by one.")
    spec, backend = predictor.spec, predictor.backend
    run = Run(spec.name, spec.kind, backend.name, backend.device, predictor.untrained, predictor.labels, names)
    run.settings = getattr(backend, "settings", {})
    for source, error in missing:
        _note(run, source, error)
    size = options["batch_size"] or spec.batch_size
    job = _Job(predictor, faces, saver, run, options["max_pixels"])
    for start in range(0, len(paths), size):
        _run_batch(job, paths[start : start + size])
    text = FORMATS[options["form"]](run)
    if text:
        click.echo(text)
    return InputError.exit_code if run.errors else 0


class _Job(NamedTuple):
    """What is the same for every picture."""

    predictor: Predictor
    faces: list[tuple[float, ...]] | None
    saver: PictureSaver | None
    run: Run
    max_pixels: int


def _run_batch(job: _Job, paths: list[Path]) -> None:
    """Run some pictures together, and note their results and what cannot be used."""
    predictor, faces, saver, run, max_pixels = job
    images = []
    for path in paths:
        try:
            images.append((str(path), read_image(path, max_pixels)))
        except InputError as error:
            _note(run, str(path), error)
    if not images:
        return
    try:
        boxes = None if faces is None else [faces] * len(images)
        results, timing = predictor.predict_timed([image for _, image in images], face_boxes=boxes)
    except InputError as error:  # of a face box, for which there is one picture only
        _note(run, images[0][0], error)
        return
    for (source, image), result in zip(images, results, strict=True):
        run.predictions.append(Prediction(source, image.shape[1], image.shape[0], result, timing))
        if saver is not None:
            try:
                saver.save(source, image, result)
            except InputError as error:
                _note(run, source, error)


def _parse_face(text: str) -> tuple[float, ...]:
    try:
        box = tuple(float(side) for side in text.split(","))
    except ValueError:
        box = ()
    if len(box) != _FACE_SIDES:
        raise UsageError(f"--face {text} is not x1,y1,x2,y2", "Give four numbers in pixels: --face 176,62,274,186")
    return box


def _note(run: Run, source: str, error: InputError) -> None:
    show_error(error, source)
    run.errors.append({"source": source, "code": error.exit_code, "message": error.message})


def main() -> None:
    """Entry point."""
    if len(sys.argv) == 1:
        click.echo(overview())
        return
    sys.exit(run_command(cvrun))
