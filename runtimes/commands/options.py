"""Options that commands share, in groups, and what their values mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...errors import InputError, UsageError
from ...models.spec import VariantOptions
from ..load import load
from ..sources.base import SourceOptions
from ..sources.decoding import BYTES_PER_PIXEL, MAX_PIXELS

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..predictor import Predictor

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


# For how long the help's lines may be, and the short form of --help.
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
_OWN, _ALWAYS = "Options", "Help"


class SectionedCommand(click.Command):
    """A command whose help lists options under the titles of their groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a part for each title: the command's own options first, help last."""
        sections: dict[str, list[tuple[str, str]]] = {_OWN: []}
        for param in self.get_params(ctx):
            line = param.get_help_record(ctx)
            if isinstance(param, click.Option) and line is not None:
                title = _ALWAYS if param.is_eager else getattr(param, "section", _OWN)
                sections.setdefault(title, []).append(line)
        for title, lines in sections.items():
            if lines:
                with formatter.section(title):
                    formatter.write_dl(lines)


def option_group(title: str, *options: Decorator) -> Decorator:
    """Return a decorator that adds several options, in the order in which the help lists them under *title*.

    Options that are a group already stay under their own title.
    """

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        before = len(getattr(command, "__click_params__", ()))
        for option in reversed(options):
            command = option(command)
        for param in getattr(command, "__click_params__", ())[before:]:
            if not hasattr(param, "section"):
                param.section = title
        return command

    return add


def weights_option(note: str = "") -> Decorator:
    """Return the option of the weights; *note* says where they are needed."""
    known = "a file, folder, ms:ORG/MODEL, hf:ORG/MODEL, sample or seeded[:N]"
    return option_group("Model", click.option("--weights", metavar="W", help=f"Weights: {known}{note}."))


variant_options = option_group(
    "Model",
    click.option("--input-size", metavar="H[,W]", help="Network input size in pixels."),
    click.option(
        "--preprocess", metavar="NAME", help="Preprocessing convention of yolox: easycv, megvii or megvii-legacy."
    ),
    click.option(
        "--activation", metavar="NAME", help="Activation function of yolox: silu or relu; weights do not tell it."
    ),
    click.option(
        "--labels",
        type=click.Path(path_type=Path),
        metavar="FILE|NAME",
        help="Class names: a text file with one name per line, or the name of a list of the model.",
    ),
)
download_options = option_group(
    "Model",
    click.option("--offline", is_flag=True, help="Never download weights."),
    click.option("--cache-dir", type=click.Path(path_type=Path), help="Folder of downloaded weights."),
)
model_options = option_group(
    "Model",
    click.option("-m", "--model", default="yolox", show_default=True, metavar="NAME|FILE.onnx", help="Model to run."),
    weights_option(" (for the backends torch and npu)"),
    variant_options,
)
# What there is to choose where the backend is ONNX Runtime.
session_options = option_group(
    "Backend and speed",
    click.option("--threads", type=click.IntRange(min=1), help="CPU threads of the network."),
    click.option(
        "--providers", metavar="A,B", help="Execution providers of ONNX Runtime, such as openvino; else the device's."
    ),
)
backend_options = option_group(
    "Backend and speed",
    click.option(
        "--backend", default="auto", show_default=True, metavar="NAME", help="Backend: auto, npu, onnx or torch."
    ),
    click.option("--device", metavar="NAME", help="Device, such as cpu, cuda:0 or npu:0; else the backend's default."),
    click.option("--precision", metavar="NAME", help="Precision of the NPU: strict (the default), production or fp16."),
    session_options,
)
setting_options = option_group(
    "What is found",
    click.option("--conf", type=click.FloatRange(0, 1), help="Score threshold."),
    click.option("--iou", type=click.FloatRange(0, 1), help="IoU threshold of non-maximum suppression."),
    click.option("--max-det", type=click.IntRange(min=1), help="Maximum number of detections per image."),
    click.option("--classes", metavar="A,B", help="Classes to report, by name or number; else all."),
    click.option("--agnostic-nms", is_flag=True, default=None, help="Suppress overlapping boxes across classes."),
)
source_options = option_group(
    "Sources",
    click.option("--recursive", is_flag=True, help="Read the subfolders of folders too."),
    click.option("--vid-stride", type=click.IntRange(min=1), default=1, help="Of videos and cameras every N-th frame."),
    click.option("--allow-private", is_flag=True, help="Fetch images from addresses of private networks too."),
    click.option(
        "--max-pixels",
        type=click.IntRange(min=1),
        default=MAX_PIXELS,
        show_default=True,
        help="Refuse images of more pixels, and those that take more memory to decode than so many pixels (at least "
        "the default) of an ordinary format: "
        f"{BYTES_PER_PIXEL} bytes each, {BYTES_PER_PIXEL * MAX_PIXELS // 10**6} MB by default.",
    ),
)
verbosity_options = option_group(
    "Messages",
    click.option("-q", "--quiet", is_flag=True, help="Print nothing on stderr but errors."),
    click.option("-v", "--verbose", is_flag=True, help="Print more on stderr."),
)


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


def take_source_options(options: dict[str, Any]) -> SourceOptions:
    """Take the values of `source_options` out of a command's options."""
    names = ("max_pixels", "recursive", "vid_stride", "allow_private")
    return SourceOptions(**{name: options.pop(name) for name in names})


def open_predictor(backend: str, options: dict[str, Any], **instead: Any) -> Predictor:  # noqa: ANN401
    """Open what `model_options`, `backend_options`, `setting_options` and `download_options` ask for.

    Args:
        backend: Name of the backend.
        options: The command's options; those of the variant are taken out of them.
        instead: Arguments of `load` in the place of those.

    """
    given = {
        "weights": options["weights"],
        "device": options["device"],
        "threads": options["threads"],
        "precision": options["precision"],
        "providers": listed(options.get("providers")),
        "score_threshold": options.get("conf"),
        "iou_threshold": options.get("iou"),
        "max_detections": options.get("max_det"),
        "class_agnostic": options.get("agnostic_nms"),
        "classes": listed(options.get("classes")),
        "offline": options["offline"],
        "cache_dir": options["cache_dir"],
    }
    return load(options["model"], backend=backend, options=options["variant"], **{**given, **instead})


def listed(text: str | None) -> list[str] | None:
    """Return the words of an option that takes several, separated by commas."""
    return None if text is None else [name.strip() for name in text.split(",")]


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
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot read the labels {path}: {error}", "Give a UTF-8 text file with one label per line."
        ) from error
    labels = tuple(line.strip() for line in lines if line.strip())
    if not labels:
        raise InputError(f"no labels in {path}", "Give one label per line.")
    return labels
