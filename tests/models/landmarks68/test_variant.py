"""Reading the structure from keys and shapes."""

from dataclasses import replace

import pytest
import torch

from cvport.errors import WeightsError
from cvport.models.landmarks68.network import StackedHourglass
from cvport.models.landmarks68.variant import DEFAULT_VARIANT, Variant, infer_variant


def shapes_of(variant):
    with torch.device("meta"):
        return {key: tuple(value.shape) for key, value in StackedHourglass(variant).state_dict().items()}


@pytest.fixture(scope="module")
def shapes():
    return shapes_of(DEFAULT_VARIANT)


@pytest.mark.parametrize(
    "variant",
    [
        DEFAULT_VARIANT,
        replace(DEFAULT_VARIANT, stacks=2, width=128),
        Variant(stem=8, width=16, levels=2, stacks=3),
        Variant(stem=8, width=16, levels=1, stacks=1),
    ],
    ids=lambda variant: variant.title,
)
def test_every_structure_is_read_back(variant):
    assert infer_variant(shapes_of(variant)) == variant


def test_titles_and_json():
    assert DEFAULT_VARIANT.title == "STAR, 4 stacked hourglasses, 68 points"
    assert replace(DEFAULT_VARIANT, stacks=1, width=64).title == "STAR, 1 stacked hourglass of 64 channels, 68 points"
    assert DEFAULT_VARIANT.to_dict() == {"stem": 64, "width": 256, "levels": 4, "stacks": 4}


def test_a_few_missing_or_misshapen_tensors_do_not_change_it(shapes):
    damaged = {key: shape for key, shape in shapes.items() if not key.startswith("hgs.3.low2.low2.low2.low1.")}
    damaged |= {"merge_features.0.conv.weight": (), "pre.0.conv.weight": (32, 6, 7, 7), "features.0.1.bn.bias": (3,)}
    assert infer_variant(damaged) == DEFAULT_VARIANT


@pytest.mark.parametrize(("points", "edges"), [(98, 15), (29, 14), (68, 15), (19, 9)])
def test_points_of_other_data_sets_are_refused(shapes, points, edges):
    other = dict(shapes)
    for key, shape in shapes.items():
        if key.startswith(("out_heatmaps", "out_pointmaps")):
            other[key] = (points, *shape[1:])
        elif key.startswith("out_edgemaps"):
            other[key] = (edges, *shape[1:])
    with pytest.raises(WeightsError, match=f"{points} points on {edges} lines") as caught:
        infer_variant(other)
    assert "300W" in caught.value.hint
    assert "WFLW" in caught.value.hint


@pytest.mark.parametrize("part", ["pre.0.conv", "hgs.0.coordconv", "out_heatmaps.0", "out_edgemaps.0"])
def test_other_networks_are_refused(shapes, part):
    with pytest.raises(WeightsError, match=f"not those of a STAR landmark network: looked for {part}") as caught:
        infer_variant({key: shape for key, shape in shapes.items() if not key.startswith(part)})
    assert caught.value.hint


def test_no_weights_at_all():
    with pytest.raises(WeightsError, match="none at all"):
        infer_variant({})
