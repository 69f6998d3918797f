"""What a checkpoint turns into, and the spec's own data."""

from dataclasses import replace

import pytest
import torch

from cvport.errors import UsageError, WeightsError
from cvport.models.hand_static.postprocess import PostprocessParams
from cvport.models.hand_static.preprocess import PreprocessParams
from cvport.models.hand_static.spec import SPEC
from cvport.models.hand_static.variant import DEFAULT_VARIANT
from cvport.models.registry import get_model
from cvport.models.spec import VariantOptions
from cvport.models.weights.checkpoint import Checkpoint
from cvport.models.weights.files import open_weights


@pytest.fixture(scope="module")
def state(small):
    return {key: torch.from_numpy(value) for key, value in SPEC.seeded(0, small).items()}


def plan_of(state, **options):
    return SPEC.plan(Checkpoint(state, "", ""), VariantOptions(**options))


def test_the_contract():
    assert get_model("hand_static") is SPEC
    assert (SPEC.input_name, SPEC.output_names, SPEC.kind) == ("input", ("scores",), "classes")
    assert SPEC.hub == "ms:iic/cv_mobileface_hand-static"
    assert SPEC.batch_size == 8


def test_labels_are_upstreams_table_without_its_entry_that_has_no_output(golden):
    table = golden.notes["_notes"]["map_idx"]
    assert SPEC.labels == tuple(table[str(i)] for i in range(15))
    assert table["15"] == "nohand"
    assert set(SPEC.translations["zh"]) == set(SPEC.labels)
    assert SPEC.translations["zh"]["five"] == "五指张开"


@pytest.mark.parametrize(
    "form",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {f"module.{key}": value for key, value in state.items()},
    ],
    ids=["bare", "wrapped", "DataParallel"],
)
def test_every_form_of_a_checkpoint_gives_the_same_network(state, small, form, tmp_path):
    torch.save(form(state), tmp_path / "pytorch_model.bin")
    checkpoint = open_weights(SPEC, tmp_path / "pytorch_model.bin")
    plan = SPEC.plan(checkpoint)
    assert plan.variant == small
    network = SPEC.build_network(checkpoint.state, plan.variant)
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


def test_counters_may_be_absent(state):
    stored = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    assert len(SPEC.build_network(stored).state_dict()) == len(state)


def test_defaults(state):
    plan = plan_of(state)
    assert plan.input_size == plan.preprocess.input_size == (32, 32)
    assert plan.preprocess == PreprocessParams((32, 32), "rgb", (127.5,) * 3, (127.5,) * 3)
    assert plan.postprocess == PostprocessParams()
    assert plan.labels == SPEC.labels
    assert plan.decided_by == {"labels": "model default"}


def test_labels_follow_the_number_of_classes(small):
    assert plan_of(SPEC.seeded(0, replace(small, num_classes=2))).labels == ("class_0", "class_1")


def test_labels_may_be_given(state):
    names = tuple("abcdefghijklmno")
    plan = plan_of(state, labels=names)
    assert plan.labels == names
    assert plan.decided_by == {"labels": "option"}


@pytest.mark.parametrize(
    "options",
    [{"input_size": (112, 112)}, {"preprocess": "megvii"}, {"activation": "relu"}, {"labels": ("one",)}],
    ids=lambda options: next(iter(options)),
)
def test_options_that_do_not_fit(state, options):
    with pytest.raises(UsageError) as caught:
        plan_of(state, **options)
    assert caught.value.hint


def test_weights_of_another_model_are_refused():
    with pytest.raises(WeightsError, match="not those of a MobileFaceNet gesture classifier"):
        plan_of({"backbone.conv1.0.weight": torch.zeros(24, 3, 3, 3)})


def test_seeded_weights_are_those_of_the_published_structure():
    checkpoint = open_weights(SPEC, "seeded:3")
    assert checkpoint.untrained
    assert len(checkpoint.state) == 337
    assert SPEC.plan(checkpoint).variant == DEFAULT_VARIANT
