"""The exceptions, their exit codes and next steps."""

import re

import pytest

from cvport import errors
from cvport.errors import CvportError, did_you_mean

EXIT_CODES = {
    "CvportError": 1,
    "UsageError": 2,
    "InputError": 3,
    "WeightsError": 4,
    "ArtifactError": 4,
    "BackendError": 5,
    "ParityFailed": 6,
    "ParityIncomplete": 7,
}


def tree(kind=CvportError):
    yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


def test_the_exit_code_of_every_error():
    known = {kind.__name__: kind.exit_code for kind in tree() if kind.__module__ == errors.__name__}
    assert known == EXIT_CODES
    assert all(kind.exit_code in EXIT_CODES.values() for kind in tree())


def test_the_tree_in_the_documentation_is_the_tree():
    documented = re.findall(r"^ *(\w+) +(\d)  ", errors.__doc__, flags=re.MULTILINE)
    assert {name: int(code) for name, code in documented} == EXIT_CODES


def test_the_message_and_the_next_step():
    error = errors.InputError("no such file: a.jpg", "Check the path.")
    assert (error.message, error.hint) == ("no such file: a.jpg", "Check the path.")
    assert str(error) == "no such file: a.jpg\nCheck the path."
    assert str(CvportError("alone")) == "alone"
    assert CvportError("alone").hint == ""


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("yolo", "Did you mean 'yolox'?"),
        ("YoloX", "Did you mean 'yolox'?"),
        ("nanodt", "Did you mean 'nanodet'?"),
        ("segment", "Known: emotion, nanodet, yolox."),
        ("", "Known: emotion, nanodet, yolox."),
    ],
)
def test_did_you_mean(name, step):
    assert did_you_mean(name, ["yolox", "nanodet", "emotion"]) == step


def test_did_you_mean_takes_any_iterable():
    assert did_you_mean("yolo", iter(["yolox"])) == "Did you mean 'yolox'?"
    assert did_you_mean("yolo", {"yolox": 1}) == "Did you mean 'yolox'?"
