"""Draw scenes of shapes, train a detector on them, score it: ``PYTHONPATH=tools python -m shapes --help``."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import cv2

from .coco import Dataset
from .photos import HELD_OUT, TRAINING, read_photo
from .scenes import CLASSES, draw_scene, size_of

if TYPE_CHECKING:
    from torch import nn

    from .training import Progress


def _split(_context: click.Context, _option: click.Parameter, text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = sorted(set(names) - set(CLASSES))
    if unknown or not names or len(set(names)) != len(names):
        raise click.BadParameter(f"{text!r}: give some of {', '.join(CLASSES)}, each once")
    return names


_classes = click.option(
    "--classes",
    default=",".join(CLASSES),
    show_default=True,
    callback=_split,
    metavar="A,B",
    help="Shapes, in the order of their class ids.",
)


@click.group()
def main() -> None:
    """Draw scenes of shapes, train a YOLOX-nano on them, score it."""


@main.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, metavar="DIR")
@click.option("--seed", default=1, show_default=True)
@click.option("--count", default=10, show_default=True)
@click.option("--size", nargs=2, default=(480, 640), show_default=True, metavar="H W")
@click.option("--scored", is_flag=True, help="Draw the scenes that score takes, 320 to 640 pixels a side.")
@click.option("--photo", type=click.Choice([*TRAINING, *HELD_OUT]), help="Draw on this photograph, as large as it is.")
@_classes
def draw(
    output: Path,
    seed: int,
    count: int,
    size: tuple[int, int],
    scored: bool,
    photo: str | None,
    classes: Sequence[str],
) -> None:
    """Write scenes as PNG and their boxes as a COCO dataset, annotations.json."""
    output.mkdir(parents=True, exist_ok=True)
    dataset = Dataset(classes)
    for number in range(count):
        on = None if photo is None else read_photo(photo)
        scene = draw_scene(
            [seed, number, 1],
            size_of(seed, number) if scored else size,
            photos=tuple(HELD_OUT),
            classes=classes,
            photo=on,
        )
        name = f"shapes_{seed}_{number:04}.png" if photo is None else f"{Path(photo).stem}_{seed}_{number:04}.png"
        cv2.imwrite(str(output / name), scene.image)
        dataset.add(scene, name)
    (output / "annotations.json").write_text(json.dumps(dataset.to_dict()) + "\n", encoding="utf-8")


@main.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, metavar="DIR")
@click.option("--seed", default=0, show_default=True)
@click.option("--images", default=80_000, show_default=True, help="Scenes to see, each once.")
@click.option("--scored", default=500, show_default=True, help="Scenes of the next seed to score the weights on.")
@click.option("--workers", default=1, show_default=True, help="Processes that draw.")
@_classes
def train(output: Path, seed: int, images: int, scored: int, workers: int, classes: Sequence[str]) -> None:
    """Train YOLOX-nano, score it, and write weights, configuration, record and model card to a folder."""
    from .card import describe, write_weights
    from .scoring import open_model, score
    from .training import train as run

    def report(progress: Progress, average: nn.Module) -> None:
        click.echo(progress, err=True)
        write_weights(output, average.state_dict(), classes)

    began = time.monotonic()
    write_weights(output, run(seed, images, classes, workers=workers, report=report), classes)
    minutes = round((time.monotonic() - began) / 60, 1)
    with open_model(output) as predictor:
        figures = {"seed": seed + 1, "count": scored, **score(predictor, seed + 1, scored)}
    describe(output, {"seed": seed, "images": images, "minutes": minutes}, figures)
    click.echo(f"{output}: mAP {figures['map']:.3f} at 0.5:0.95 on {scored} scenes of seed {seed + 1}")


@main.command("score")
@click.argument("model", type=click.Path(exists=True, path_type=Path), metavar="FILE.onnx|WEIGHTS")
@click.option("--seed", default=1, show_default=True)
@click.option("--count", default=500, show_default=True)
def score_command(model: Path, seed: int, count: int) -> None:
    """Print what a file or weights score on scenes that training does not see."""
    from .scoring import open_model, score

    with open_model(model) as predictor:
        click.echo(json.dumps(score(predictor, seed, count)))


if __name__ == "__main__":
    main()
