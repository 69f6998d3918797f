"""What a checkpoint turns into, in the forms that training code saves one."""

import numpy as np
import pytest
import torch

from cvport.errors import UsageError, WeightsError
from cvport.models.landmarks68.keys import edge_constants
from cvport.models.landmarks68.postprocess import PostprocessParams
from cvport.models.landmarks68.preprocess import PreprocessParams
from cvport.models.landmarks68.spec import SPEC
from cvport.models.landmarks68.variant import DEFAULT_VARIANT, Variant
from cvport.models.spec import VariantOptions
from cvport.models.weights.checkpoint import Checkpoint
from cvport.models.weights.files import open_weights

SMALL = Variant(stem=8, width=16, levels=2, stacks=3)


@pytest.fixture(scope="module")
def state():
    return {key: torch.from_numpy(value) for key, value in SPEC.seeded(0, SMALL).items()}


def training_file(state):
    """What upstream's trainer saves (lib/utility.py): weights, their average, and how training stands."""
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([parameter], lr=1e-3)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[200, 350, 450], gamma=0.1)
    parameter.sum().backward()
    optimizer.step()
    scheduler.step()
    return {
        "net": state,
        "net_ema": {key: value * 0 for key, value in state.items()},
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "epoch": 259,
    }


FORMS = {
    "training": training_file,
    "training, average first": lambda state: dict(reversed(training_file(state).items())),
    "bare": lambda state: state,
    "DataParallel": lambda state: {"net": {f"module.{key}": value for key, value in state.items()}},
    "without the edges": lambda state: {
        "net": {key: value for key, value in state.items() if not key.startswith("e2h_transform.")}
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_checkpoint_gives_the_same_network(state, form, tmp_path):
    torch.save(FORMS[form](state), tmp_path / "best_model.pkl")
    checkpoint = open_weights(SPEC, tmp_path / "best_model.pkl")
    assert set(checkpoint.state) == set(state)
    plan = SPEC.plan(checkpoint)
    assert plan.variant == SMALL
    network = SPEC.build_network(checkpoint.state, plan.variant)
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


def test_counters_may_be_absent(state):
    stored = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    assert len(SPEC.build_network(stored).state_dict()) == len(state)


def test_points_on_other_contours_are_refused(state):
    for key, value in edge_constants({}).items():
        with pytest.raises(WeightsError, match=key):
            SPEC.inference_state({**state, key: torch.from_numpy(np.roll(value, 1, axis=0) + (value.ndim == 1))})
        assert SPEC.build_network({**state, key: torch.from_numpy(value).bfloat16()}).variant == SMALL


@pytest.mark.parametrize("wrong", [np.zeros((98, 15, 1, 1), np.float32), np.float32(0)], ids=["WFLW", "number"])
def test_edges_of_another_shape_are_for_strict_loading(state, wrong):
    with pytest.raises(WeightsError, match=r"e2h_transform\.weight has"):
        SPEC.build_network({**state, "e2h_transform.weight": wrong})


def plan_of(state, **options):
    return SPEC.plan(Checkpoint(state, "here", "0" * 64), VariantOptions(**options))


def test_plan(state):
    plan = plan_of(state)
    assert plan.input_size == plan.preprocess.input_size == plan.postprocess.input_size == (256, 256)
    assert plan.preprocess == PreprocessParams()
    assert (plan.preprocess.colour, plan.preprocess.box_unit, plan.preprocess.crop_unit) == ("bgr", 180, 200)
    assert plan.postprocess == PostprocessParams()
    assert plan.labels == ()
    assert plan.decided_by == {"input_size": "fixed by the network"}


@pytest.mark.parametrize(
    "options",
    [
        {"labels": ("a",)},
        {"labels": ()},
        {"labels": "coco"},
        {"input_size": (256, 256)},
        {"preprocess": "rgb"},
        {"activation": "relu"},
    ],
    ids=str,
)
def test_options_that_do_not_fit(state, options):
    with pytest.raises(UsageError) as caught:
        plan_of(state, **options)
    assert caught.value.hint


def test_there_is_no_address_to_download_from():
    with pytest.raises(WeightsError, match="no known download address") as caught:
        open_weights(SPEC, None)
    assert "--weights FILE" in caught.value.hint


def test_contract():
    assert (SPEC.name, SPEC.kind, SPEC.input_name, SPEC.output_names) == (
        "landmarks68",
        "landmarks",
        "input",
        ("landmarks",),
    )
    assert (SPEC.stride, SPEC.labels, SPEC.sizes) == (None, (), "256x256")


def test_seeded_weights_are_of_the_published_variant():
    checkpoint = open_weights(SPEC, "seeded:3")
    assert checkpoint.untrained
    assert len(checkpoint.state) == 1450
    assert SPEC.plan(checkpoint).variant == DEFAULT_VARIANT
