"""What a checkpoint turns into: labels above all, whose order differs between publishers."""

import json

import pytest
import torch
from safetensors.torch import save_file

from cvport.errors import UsageError, WeightsError
from cvport.models.emotion.preprocess import PreprocessParams
from cvport.models.emotion.spec import SPEC
from cvport.models.spec import VariantOptions
from cvport.models.weights.checkpoint import Checkpoint
from cvport.models.weights.files import open_weights

DOCUMENTED = ("sad", "disgust", "angry", "neutral", "fear", "surprise", "happy")
FACE_EXPRESSION = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


@pytest.fixture(scope="module")
def state(small):
    return {key: torch.from_numpy(value) for key, value in SPEC.seeded(0, small).items()}


def plan_of(state, config=None, **options):
    return SPEC.plan(Checkpoint(state, "here", "0" * 64, config=config or {}), VariantOptions(**options))


def numbered(names):
    return {"id2label": {str(number): name for number, name in enumerate(names)}}


def test_defaults(state, small):
    plan = plan_of(state)
    assert plan.variant == small
    assert plan.input_size == (48, 48)
    assert plan.preprocess == PreprocessParams((48, 48))
    assert (plan.preprocess.colour, plan.preprocess.mean, plan.preprocess.std) == ("rgb", (127.5,) * 3, (127.5,) * 3)
    assert plan.labels == DOCUMENTED
    assert plan.decided_by == {"heads": "model default", "activation": "model default", "labels": "model default"}


def test_the_orders_are_the_published_ones(golden):
    orders = golden.manifest["id2label"]
    assert SPEC.labels == SPEC.label_lists["facial_emotions_image_detection"] == tuple(orders["public_doc"])
    assert SPEC.label_lists["vit-face-expression"] == tuple(orders["trpakov/vit-face-expression"])
    assert set(SPEC.translations["zh"]) == set(DOCUMENTED)


def test_labels_of_the_configuration_win_in_the_order_of_their_numbers(state):
    config = numbered(FACE_EXPRESSION)
    config["id2label"] = dict(reversed(config["id2label"].items()))
    plan = plan_of(state, config | {"num_attention_heads": 2, "hidden_act": "gelu"})
    assert plan.labels == FACE_EXPRESSION
    assert set(plan.decided_by.values()) == {"checkpoint config"}


@pytest.mark.parametrize("config", [numbered(f"LABEL_{i}" for i in range(7)), {"id2label": None}, {"id2label": {}}])
def test_placeholders_are_no_labels(state, config):
    plan = plan_of(state, config)
    assert plan.labels == DOCUMENTED
    assert plan.decided_by["labels"] == "model default"


def test_labels_by_option(state):
    assert plan_of(state, labels="vit-face-expression").labels == FACE_EXPRESSION
    assert plan_of(state, labels="facial_emotions_image_detection").labels == DOCUMENTED
    plan = plan_of(state, numbered(FACE_EXPRESSION), labels=tuple("abcdefg"))
    assert (plan.labels, plan.decided_by["labels"]) == (tuple("abcdefg"), "option")


@pytest.mark.parametrize(
    "names",
    [
        {"0": "sad"},
        {str(i): "x" for i in range(8)},
        {str(i + 1): "x" for i in range(7)},
        {**{str(i): "x" for i in range(6)}, "last": "x"},
        ["sad"] * 7,
    ],
    ids=str,
)
def test_labels_that_do_not_number_the_classes_are_refused(state, names):
    with pytest.raises(WeightsError, match="does not name the 7 classes 0 to 6"):
        plan_of(state, {"id2label": names})


@pytest.mark.parametrize(
    "options",
    [{"input_size": (48, 64)}, {"preprocess": "megvii"}, {"activation": "relu"}, {"labels": ("sad",)}, {"labels": "x"}],
    ids=str,
)
def test_options_that_do_not_fit(state, options):
    with pytest.raises(UsageError) as caught:
        plan_of(state, **options)
    assert caught.value.hint


def pooled(state):
    return {**state, "vit.pooler.dense.weight": torch.zeros(128, 128), "vit.pooler.dense.bias": torch.zeros(128)}


@pytest.mark.parametrize("form", ["hub", "in memory", "wrapped", "module.", "pooler"])
def test_every_form_of_a_checkpoint_gives_the_same_network(state, small, published, form, tmp_path):
    forms = {
        "hub": published(state),
        "in memory": state,
        "wrapped": {"state_dict": published(state), "epoch": 3},
        "module.": {f"module.{key}": value for key, value in state.items()},
        "pooler": pooled(published(state)),
    }
    torch.save(forms[form], tmp_path / "model.pth")
    checkpoint = open_weights(SPEC, tmp_path / "model.pth")
    assert checkpoint.state.keys() == state.keys()
    network = SPEC.build_network(checkpoint.state, SPEC.plan(checkpoint).variant)
    assert network.variant == small
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    # Straight into the network too.
    bare = forms["pooler"] if form == "pooler" else published(state)
    assert all(torch.equal(value, state[key]) for key, value in SPEC.build_network(bare).state_dict().items())


def test_a_folder_of_the_hub(state, published, tmp_path):
    save_file(published(state), tmp_path / "model.safetensors")
    config = numbered(FACE_EXPRESSION) | {"model_type": "vit", "num_attention_heads": 4, "layer_norm_eps": 1e-6}
    (tmp_path / "config.json").write_text(json.dumps(config))
    checkpoint = open_weights(SPEC, tmp_path)
    plan = SPEC.plan(checkpoint)
    assert plan.labels == FACE_EXPRESSION
    network = SPEC.build_network(checkpoint.state, plan.variant)
    assert (network.vit.config.num_attention_heads, network.vit.layernorm.eps) == (4, 1e-6)


def test_the_order_of_the_labels_is_a_guess_where_nothing_tells_it(state):
    assert plan_of(state).guesses == ("labels",)
    assert plan_of(state, numbered(SPEC.labels)).guesses == ()
    assert plan_of(state, labels="vit-face-expression").guesses == ()
