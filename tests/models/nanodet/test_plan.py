"""What a checkpoint turns into, in all the forms that training code saves one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cvport.errors import UsageError, WeightsError
from cvport.models.labels import COCO_LABELS
from cvport.models.nanodet.preprocess import PreprocessParams
from cvport.models.nanodet.spec import SPEC
from cvport.models.nanodet.variant import DEFAULT_VARIANT, PROJECT
from cvport.models.spec import VariantOptions
from cvport.models.weights.checkpoint import Checkpoint
from cvport.models.weights.files import open_weights

SMALL = replace(DEFAULT_VARIANT, stem=8, stages=(16, 32, 64), repeats=(2, 3, 2), neck=16)


@pytest.fixture(scope="module")
def state():
    return {key: torch.from_numpy(value) for key, value in SPEC.seeded(0, SMALL).items()}


def auxiliary(state):
    """What training adds: a second pyramid and a head of another width."""
    extra = {f"aux_{key}": value for key, value in state.items() if key.startswith("fpn.")}
    return {**extra, "aux_head.gfl_cls.weight": torch.zeros(35, 32, 1, 1), "aux_head.scales.0.scale": torch.ones(())}


def prefixed(state, prefix):
    return {f"{prefix}{key}": value for key, value in state.items()}


def old(state):
    """Plain weights beside averaged ones: numbers that must not be taken."""
    return {key: value * 0 for key, value in state.items()}


FORMS = {
    "bare": lambda state: state,
    "wrapped": lambda state: {"state_dict": state, "epoch": 3, "iter": 9},
    "DataParallel": lambda state: {"state_dict": prefixed(state, "module.")},
    "model.": lambda state: prefixed(state, "model."),
    "avg_model.": lambda state: {"state_dict": prefixed(state, "avg_model.")},
    "Lightning with averages": lambda state: {
        "state_dict": prefixed(old(state), "model.") | prefixed(state, "avg_model.")
    },
    "training": lambda state: {"state_dict": prefixed({**state, **auxiliary(state)}, "model.")},
    "averages in training": lambda state: {**state, **auxiliary(state)},
    "without the bins' numbers": lambda state: {key: value for key, value in state.items() if key != PROJECT},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_checkpoint_gives_the_same_network(state, form, tmp_path):
    torch.save(FORMS[form](state), tmp_path / "model.pth")
    checkpoint = open_weights(SPEC, tmp_path / "model.pth")
    assert checkpoint.state.keys() == state.keys()
    plan = SPEC.plan(checkpoint)
    assert plan.variant == SMALL
    network = SPEC.build_network(checkpoint.state, plan.variant)
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


def test_counters_may_be_absent(state):
    stored = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    network = SPEC.build_network(stored)
    assert len(network.state_dict()) == len(state)


def test_training_parts_may_be_given_to_the_network_too(state):
    network = SPEC.build_network({**state, **auxiliary(state)})
    assert network.state_dict().keys() == state.keys()


def test_other_numbers_of_bins_are_refused(state):
    with pytest.raises(WeightsError, match="project does not hold the numbers of the bins, 0, 1, 2"):
        SPEC.inference_state({**state, PROJECT: torch.arange(8.0) + 0.5})
    with pytest.raises(WeightsError, match="not a float tensor"):
        SPEC.build_network({**state, PROJECT: [0.0] * 8})


def test_bins_numbers_of_another_type_are_fine(state):
    for dtype in (torch.float16, torch.bfloat16):
        assert SPEC.build_network({**state, PROJECT: torch.arange(8).to(dtype)}).variant == SMALL


def test_yolox_keeps_what_it_is_given():
    from cvport.models.yolox.spec import SPEC as YOLOX

    state = {"aux_head.weight": np.zeros(1)}
    assert YOLOX.inference_state(state) == state


def plan_of(state, **options):
    return SPEC.plan(Checkpoint(state, "here", "0" * 64), VariantOptions(**options))


def test_defaults(state):
    plan = plan_of(state)
    assert plan.input_size == (320, 320)
    assert plan.preprocess == PreprocessParams((320, 320))
    assert (plan.preprocess.colour, plan.preprocess.alignment) == ("bgr", "asymmetric")
    assert (plan.postprocess.score_threshold, plan.postprocess.iou_threshold) == (0.3, 0.5)
    assert (plan.postprocess.strides, plan.postprocess.prior_offset) == ((8, 16, 32, 64), 0)
    assert plan.labels == ("person", "face", "hand")
    assert plan.decided_by == {"input_size": "model default", "labels": "model default"}


@pytest.mark.parametrize(("classes", "labels"), [(80, COCO_LABELS), (2, ("class_0", "class_1"))])
def test_labels_follow_the_number_of_classes(classes, labels):
    assert plan_of(SPEC.seeded(0, replace(SMALL, num_classes=classes))).labels == labels


def test_options(state):
    plan = plan_of(state, input_size=(416, 640), labels=("a", "b", "c"))
    assert plan.input_size == plan.preprocess.input_size == (416, 640)
    assert plan.labels == ("a", "b", "c")
    assert plan.decided_by == {"input_size": "option", "labels": "option"}


@pytest.mark.parametrize(
    "options",
    [{"input_size": (320, 330)}, {"preprocess": "megvii"}, {"activation": "relu"}, {"labels": ("person",)}],
    ids=lambda options: next(iter(options)),
)
def test_options_that_do_not_fit(state, options):
    with pytest.raises(UsageError) as caught:
        plan_of(state, **options)
    assert caught.value.hint


def test_seeded_weights_are_those_of_the_published_detector():
    checkpoint = open_weights(SPEC, "seeded:3")
    assert checkpoint.untrained
    assert len(checkpoint.state) == 645
    assert SPEC.plan(checkpoint).variant == DEFAULT_VARIANT
