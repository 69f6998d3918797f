"""Every target of the fuzzer over its own good inputs and some changed ones, without atheris."""

from __future__ import annotations

from random import Random

import pytest

from cvport.errors import InputError
from fuzz.judging import HangError, SilentChangeError, Target, judge
from fuzz.study import Study
from fuzz.targets import TARGETS, get_target

_CHANGED = 60


@pytest.mark.parametrize("name", TARGETS)
def test_good_inputs_are_accepted_and_changed_ones_are_not_misread(name):
    target = get_target(name)
    seeds = target.seeds()
    for seed in seeds:
        target.run(seed)
    rng = Random(name)
    for number in range(_CHANGED):
        data = target.mutate(seeds[number % len(seeds)], rng)
        finding = judge(target, data)
        assert finding is None, f"{finding.text}\n{data[:500]!r}"


@pytest.mark.parametrize("error", [ValueError, RecursionError, MemoryError, SilentChangeError, InputError, HangError])
def test_what_is_no_proper_outcome_is_found(error, tmp_path):
    def run(data):
        if data != b"good":
            raise error("broken")

    target = Target(lambda: [b"good"], run, lambda data, rng: data, (4,))
    assert judge(target, b"good") is None
    finding = judge(target, b"bad one")
    assert finding.key.startswith(error.__name__)
    study = Study("some", target, tmp_path)
    for data in (b"good", b"bad one", b"bad"):
        study.try_input(data)
    study.save()
    (kept,) = (path for path in study.findings.iterdir() if not path.suffix)
    assert kept.read_bytes() == b"bad", "the smallest"
    again = Study("some", target, tmp_path)
    assert (again.inputs, list(again.found.values())) == (3, [2])


def test_an_error_of_a_proper_code_is_right():
    def run(_data):
        raise InputError("no image", "Give one.")

    assert judge(Target(list, run, lambda data, rng: data, (3, 4)), b"") is None


def test_an_input_that_hangs_is_found(monkeypatch):
    def run(_data):
        while True:
            pass

    monkeypatch.setattr("fuzz.judging.SECONDS", 0.05)
    assert judge(Target(list, run, lambda data, rng: data, ()), b"").key.startswith("HangError")
