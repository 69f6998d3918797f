"""``cvrun``: run a model on pictures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..models.errors import InputError, UsageError
from .backend import choose_backend
from .console import overview, read_variant_options, run_command, set_verbosity, show_error, variant_options
from .images import MAX_PIXELS, find_images, read_image
from .predictor import load
from .sinks import FORMATS, PictureSaver, Prediction, Run

if TYPE_CHECKING:
    from .predictor import Predictor

_EXAMPLES = """\b
Examples:
  cvrun image.jpg
  cvrun -m artifacts/yolox/yolox.onnx --conf 0.5 --format json photos/ > found.json
  cvrun -m yolox --weights yolox_nano.pth --backend torch --save out/ 'photos/*.jpg'
"""


@click.command(epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("sources", nargs=-1, metavar="SOURCE...")
@click.option("-m", "--model", default="yolox", show_default=True, metavar="NAME|FILE.onnx", help="What to run.")
@click.option("--weights", metavar="W", help="For torch: a file, folder, ms:ORG/MODEL, hf:ORG/MODEL or seeded[:N].")
@variant_options
@click.option("--backend", default="auto", show_default=True, metavar="NAME", help="auto, onnx or torch.")
@click.option("--device", metavar="NAME", help="cpu, cuda:0 ...; the backend's default where not given.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of the network.")
@click.option("--conf", type=click.FloatRange(0, 1), help="Score threshold.")
@click.option("--iou", type=click.FloatRange(0, 1), help="IoU threshold of non-maximum suppression.")
@click.option("--max-det", type=click.IntRange(min=1), help="Keep at most so many detections a picture.")
@click.option("--classes", metavar="A,B", help="Report only these classes, by name or number.")
@click.option("--agnostic-nms", is_flag=True, default=None, help="Suppress across classes.")
@click.option("--save", type=click.Path(path_type=Path), metavar="DIR|FILE", help="Write annotated pictures.")
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
    form: str,
    save: Path | None,
    max_pixels: int,
    quiet: bool,
    verbose: bool,
    **options: Any,  # noqa: ANN401
) -> int:
    """Run a model on pictures: files, folders, patterns."""
    set_verbosity(quiet, verbose)
    backend_name = choose_backend(backend, options["device"])
    if not sources:
        raise UsageError("no SOURCE", "Give files, folders or patterns: cvrun image.jpg")
    with _load(backend_name, options) as predictor:
        if not quiet:
            _announce(backend, predictor)
        return _run(predictor, sources, form, save, max_pixels)


def _load(backend: str, options: dict[str, Any]) -> Predictor:
    variant = read_variant_options(*(options[name] for name in ("input_size", "preprocess", "activation", "labels")))
    classes = options["classes"]
    return load(
        options["model"],
        backend=backend,
        weights=options["weights"],
        options=variant,
        device=options["device"],
        threads=options["threads"],
        score_threshold=options["conf"],
        iou_threshold=options["iou"],
        max_detections=options["max_det"],
        class_agnostic=options["agnostic_nms"],
        classes=None if classes is None else [name.strip() for name in classes.split(",")],
        offline=options["offline"],
        cache_dir=options["cache_dir"],
    )


def _announce(asked: str, predictor: Predictor) -> None:
    if asked == "auto":
        click.echo(f"backend: {predictor.backend.name} on {predictor.backend.device}", err=True)
    if predictor.untrained:
        click.echo("note: these weights are untrained; the results mean nothing", err=True)


def _run(predictor: Predictor, sources: tuple[str, ...], form: str, save: Path | None, max_pixels: int) -> int:
    """Run every source that can be read; what cannot is told and does not stop the others."""
    paths, missing = find_images(sources)
    saver = None if save is None else PictureSaver(save, predictor.backend.name)
    if saver is not None and saver.is_file and len(paths) > 1:
        raise UsageError(f"--save {save} is one file, there are {len(paths)} pictures", "Give a folder.")
    backend = predictor.backend
    run = Run(predictor.spec.name, backend.name, backend.device, predictor.untrained, predictor.labels)
    for source, error in missing:
        _note(run, source, error)
    for path in paths:
        try:
            image = read_image(path, max_pixels)
            results, timing = predictor.predict_timed([image])
            run.predictions.append(Prediction(str(path), image.shape[1], image.shape[0], results[0], timing))
            if saver is not None:
                saver.save(str(path), image, results[0])
        except InputError as error:
            _note(run, str(path), error)
    text = FORMATS[form](run)
    if text:
        click.echo(text)
    return InputError.exit_code if run.errors else 0


def _note(run: Run, source: str, error: InputError) -> None:
    show_error(error, source)
    run.errors.append({"source": source, "code": error.exit_code, "message": error.message})


def main() -> None:
    """Entry point."""
    if len(sys.argv) == 1:
        click.echo(overview())
        return
    sys.exit(run_command(cvrun))
