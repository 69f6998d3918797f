"""The table of models, and the specs that it leads to."""

import subprocess
import sys

import pytest

from cvport.errors import UsageError
from cvport.models.registry import MODELS, get_model, list_models
from cvport.models.spec import _CODE, ModelSpec


def test_every_name_leads_to_a_spec_of_that_name():
    assert list_models() == list(MODELS)
    for name in list_models():
        spec = get_model(name)
        assert isinstance(spec, ModelSpec)
        assert spec.name == name
        assert get_model(name) is spec


def test_yolox_by_its_contract():
    spec = get_model("yolox")
    assert spec.input_name == "input"
    assert spec.output_names == (
        *("cls_0", "reg_0", "obj_0"),
        *("cls_1", "reg_1", "obj_1"),
        *("cls_2", "reg_2", "obj_2"),
    )
    assert spec.stride == 32
    assert spec.labels == ("hand",)
    assert spec.hub == "ms:damo/cv_yolox-pai_hand-detection"
    assert spec.conventions == ("easycv", "megvii", "megvii-legacy")
    assert spec.activations == ("silu", "relu")


@pytest.mark.parametrize("name", list(MODELS))
def test_all_that_a_spec_names_is_there(name):
    spec = get_model(name)
    assert callable(spec.preprocess)
    assert callable(spec.postprocess)
    assert all(isinstance(params, type) for params in spec.params_types)
    assert all(spec._load(part) is not None for part in {**_CODE, **spec.code})


@pytest.mark.parametrize(
    ("name", "hint"), [("yolo", "'yolox'"), ("YOLOX", "'yolox'"), ("", "Known: "), ("x", "Known: ")]
)
def test_an_unknown_model(name, hint):
    with pytest.raises(UsageError, match=f"there is no model '{name}'") as caught:
        get_model(name)
    assert hint in caught.value.hint


def test_looking_a_model_up_imports_nothing_heavy():
    code = """
import sys
from cvport.models.registry import get_model, list_models
[get_model(name) for name in list_models()]
heavy = {"torch", "onnx", "onnxruntime", "cv2", "numpy", "PIL"} & set(sys.modules)
get_model("yolox").postprocess
print(sorted(heavy), sorted({"torch", "onnx", "onnxruntime", "cv2", "PIL"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] []"


def test_own_models_are_found_without_a_look_at_other_packages():
    code = """
import sys
from cvport.models.registry import MODELS, get_model, is_known, package_of
for name in MODELS:
    get_model(name)
    assert is_known(name) and package_of(name) is None
print(sorted({"importlib.metadata", "subprocess", "cvport.models.plugins"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
