"""The table of evaluations."""

import pytest

from cvport import errors
from cvport.runtimes.evaluate.registry import EVALUATIONS, get_evaluation
from cvport.runtimes.kinds.registry import KINDS


def test_every_kind_of_result_can_be_evaluated():
    assert set(EVALUATIONS) == set(KINDS)
    for name in EVALUATIONS:
        names = [figure.name for figure in get_evaluation(name).figures]
        assert len(set(names)) == len(names) > 2


def test_another_kind():
    with pytest.raises(errors.UsageError, match="results of the kind depth cannot be evaluated"):
        get_evaluation("depth")
