"""The landmark network against what the original implementation computes with the same weights."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from cvport.errors import WeightsError
from cvport.models.landmarks68.blocks import CoordConv, coordinate_maps
from cvport.models.landmarks68.keys import edge_constants
from cvport.models.landmarks68.postprocess import PostprocessParams, postprocess
from cvport.models.landmarks68.preprocess import PreprocessParams, preprocess
from cvport.models.landmarks68.spec import SPEC
from cvport.models.landmarks68.variant import Variant
from cvport.models.ops.fusion import fuse
from cvport.models.weights.loading import load_strict
from cvport.runtimes.sources.images import read_image
from helpers.landmarks import stages

# Structurally complete and quick.
SMALL = Variant(stem=8, width=16, levels=2, stacks=3)
# Goldens hold every eighth row and column of the maps.
COARSE = (..., slice(None, None, 8), slice(None, None, 8))


def run(network, x):
    with torch.inference_mode():
        return network(torch.as_tensor(x))


@pytest.fixture(scope="module")
def network(golden_landmarks68):
    return SPEC.build_network(golden_landmarks68.state)


@pytest.fixture(scope="module")
def fused(network):
    return fuse(network)


@pytest.fixture(scope="module")
def small():
    return SPEC.build_network(SPEC.seeded(0, SMALL))


def test_keys_and_shapes_and_parameters_are_upstreams(golden_landmarks68, network):
    entries = {entry["key"]: tuple(entry["shape"]) for entry in golden_landmarks68.manifest["entries"]}
    assert {key: tuple(value.shape) for key, value in network.state_dict().items()} == entries
    report = load_strict(network, golden_landmarks68.state)
    assert str(report) == "1450/1450 tensors, 17,069,572 parameters"


def test_every_stack_sees_what_upstreams_sees(golden_landmarks68, network):
    with torch.inference_mode():
        found = stages(network, torch.from_numpy(golden_landmarks68.input))
    assert len(found) == 4
    for stack, stage in enumerate(found):
        for name, value in (
            ("landmarks", stage.landmarks),
            ("pointmaps", stage.points[COARSE]),
            ("edgemaps", stage.edges[COARSE]),
            ("fusionmaps", stage.fusion[COARSE]),
        ):
            expected = golden_landmarks68.outputs[f"{name}_{stack}"]
            np.testing.assert_allclose(value, expected, rtol=0, atol=1e-4 if name == "landmarks" else 3e-5)


def test_output_is_upstreams_with_everything_folded(golden_landmarks68, fused):
    outputs = run(fused, golden_landmarks68.input[:1])
    assert tuple(outputs) == SPEC.output_names
    expected = golden_landmarks68.outputs["landmarks"][:1]
    np.testing.assert_allclose(outputs["landmarks"], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["pipeline_full", "face_max180"])
@pytest.mark.parametrize("name", ["astronaut", "astronaut_crop"])
def test_recorded_pictures_from_the_recorded_crop_to_pixels(shared, fused, name, kind):
    folder = shared / "goldens/landmarks68"
    recorded = np.load(folder / "image_seed0.npz")
    box = json.loads((folder / "image_seed0.json").read_text())["images"][name][f"{kind}.bgr"]["box_xyxy"]
    pixels, _ = preprocess(recorded[f"{name}.{kind}.bgr.crop_uint8"], PreprocessParams())
    image = read_image(shared / f"goldens/images/{name}.png")
    if kind == "pipeline_full":
        image = np.zeros((256, 256, 3), np.uint8)  # upstream's stretched picture, of which only the frame is needed
    _, frame = preprocess(image, PreprocessParams(), box=box)
    outputs = {key: value.numpy() for key, value in run(fused, pixels[None]).items()}
    np.testing.assert_allclose(outputs["landmarks"], recorded[f"{name}.{kind}.bgr.landmarks_norm"], rtol=0, atol=1e-5)
    (found,) = postprocess(outputs, [frame], PostprocessParams(), ())
    np.testing.assert_allclose(found.points[0], recorded[f"{name}.{kind}.bgr.landmarks"], rtol=0, atol=0.05)


def test_folding_leaves_only_what_reads_a_sum(network, fused):
    def norms(module):
        return [name for name, part in module.named_modules() if isinstance(part, nn.BatchNorm2d)]

    assert len(norms(network)) == 182
    assert len(norms(fused)) == 59
    assert all(name.endswith(".bn1") for name in norms(fused))
    assert not any(parameter.requires_grad for parameter in fused.parameters())


def test_coordinates_are_row_column_and_distance():
    maps = coordinate_maps(5)[0]
    line = torch.tensor([-1, -0.5, 0, 0.5, 1])
    assert torch.equal(maps[0], line[:, None].expand(5, 5))
    assert torch.equal(maps[1], line.expand(5, 5))
    assert maps[2, 2, 2] == 0
    assert maps[2, 0, 0] == maps[2, 4, 0] == maps[2].max() == 1
    assert maps[2, 2, 4] == pytest.approx(2**-0.5)


def test_boundary_is_where_the_last_point_is_hot():
    layer = CoordConv(1, 5, 4, boundary=True).eval()
    with torch.no_grad():
        # Passes on the coordinates and the boundary as they are.
        layer.conv.weight.copy_(torch.eye(6)[1:, :, None, None])
        layer.conv.bias.zero_()
    heat = torch.zeros(1, 3, 4, 4)
    heat[0, 2, 0, 1], heat[0, 2, 3, 0], heat[0, 2, 2, 2], heat[0, 1] = 0.051, 7.0, 0.05, 1.0
    for form in (layer, fuse(layer)):
        with torch.inference_mode():
            channels = form(torch.zeros(1, 1, 4, 4), heat)[0]
        maps = coordinate_maps(4)[0]
        assert torch.equal(channels[:3], maps)
        hot = torch.zeros(4, 4, dtype=torch.bool)
        hot[0, 1] = hot[3, 0] = True
        assert torch.equal(channels[3:], torch.where(hot, maps[:2], 0.0))


def test_centroids(small):
    fusion = torch.zeros(1, 68, 64, 64)
    fusion[0, 0, 10, 63] = 3.0  # one pixel
    fusion[0, 1, 0, 0], fusion[0, 1, 63, 0] = 1.0, 3.0  # two of different mass
    fusion[0, 2, 63, 63] = 1e-7  # less than the least mass: pulled to the middle
    found = small.centroids(fusion)[0]
    np.testing.assert_allclose(found[0], [1, 10 / 63 * 2 - 1], atol=1e-6)
    np.testing.assert_allclose(found[1], [-1, 0.5], atol=1e-6)
    np.testing.assert_allclose(found[2], [0.1, 0.1], atol=1e-6)
    assert not found[3:].any()


def test_forward_is_the_last_stages_landmarks(small):
    x = torch.randn(2, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found = stages(small, x)
    assert len(found) == SMALL.stacks
    assert torch.equal(found[-1].landmarks, run(small, x)["landmarks"])
    assert found[-1].edges.shape == (2, 9, 64, 64)
    assert found[-1].fusion.shape == found[-1].points.shape == (2, 68, 64, 64)


def test_built_network_is_for_inference(small):
    assert not small.training
    assert not any(parameter.requires_grad for parameter in small.parameters())
    assert not any(buffer.is_meta for buffer in small.buffers())
    assert {module.eps for module in small.modules() if isinstance(module, nn.BatchNorm2d)} == {1e-5}


def test_edges_of_the_points_are_upstreams(golden_landmarks68, shared):
    stored = np.load(shared / "goldens/landmarks68/constants.npz")
    constants = edge_constants({})
    assert set(stored) == set(constants)
    for key, value in constants.items():
        np.testing.assert_array_equal(value, stored[key])
        assert value.dtype == stored[key].dtype


def test_a_missing_and_a_foreign_key_are_listed():
    state = SPEC.seeded(0, SMALL)
    del state["hgs.1.up1.bn2.weight"]
    state["hgs.1.up1.bn4.weight"] = np.zeros(8, np.float32)
    with pytest.raises(WeightsError) as caught:
        SPEC.build_network(state)
    assert "1 missing, 1 unexpected" in caught.value.message
    assert "hgs.1.up1.bn2.weight" in caught.value.message
    assert "hgs.1.up1.bn4.weight" in caught.value.message
