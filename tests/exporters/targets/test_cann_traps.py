"""The traps of CANN's parser: the form that is one, the form that is none, the releases where each begins and ends."""

from __future__ import annotations

import numpy as np
import pytest

from cvport.exporters.targets import cann
from cvport.exporters.targets.cann_traps import CHECKS
from cvport.exporters.targets.tables import in_spans, read_table
from helpers.cann_forms import CASES, NEAREST, Form, form, resize

TRAPS = {trap["name"]: trap for trap in read_table("cann.json")["traps"]}
RELEASES = list(read_table("cann.json")["releases"])

FORMS = [
    pytest.param(name, number, id=f"{name}-{number}") for name, (bad, _) in CASES.items() for number in range(len(bad))
]
SAFE = [
    pytest.param(name, number, id=f"{name}-{number}")
    for name, (_, safe) in CASES.items()
    for number in range(len(safe))
]


def looked_at(read, release, looked):
    """The verdict on the last node of a form."""
    return cann.check(read(looked.nodes, **looked.options), release).nodes[-1]


def affected(trap):
    first, last = (RELEASES.index(release) for release in trap["releases"])
    return RELEASES[first : last + 1]


BETA_1, BETA_2 = "9.2.0-beta.1", "9.2.0-beta.2 (branch)"
# The first and the last release of traps that are not in all of them.
SPANS = {
    "reduce-mean-axes-input": ("8.5.0", BETA_1),
    "reduce-axes-input": ("8.5.0", "9.0.1"),
    "reduce-axes-attribute": ("9.1.0", BETA_1),
    "reduce-sum-all-axes": ("8.5.0", "9.1.0"),
    "resize-inputs": ("9.1.0", "master"),
    "resize-inputs-open": ("8.5.0", "9.0.1"),
    "scatter-nd-reduction": ("8.5.0", BETA_1),
    "scatter-nd-reduction-open": (BETA_2, "master"),
    "scatter-elements-reduction": ("8.5.0", "9.0.1"),
    "batch-norm-training": ("8.5.0", "9.1.0"),
    **dict.fromkeys(
        (
            "max-pool-indices",
            "max-pool-dilations",
            "max-pool-large",
            "pool-same-lower",
            "conv-kernel-shape",
            "conv-3d-auto-pad",
            "conv-transpose-kernel-shape",
            "conv-transpose-leak",
        ),
        (BETA_1, "master"),
    ),
}


def test_the_releases_of_the_traps():
    assert {name: tuple(trap["releases"]) for name, trap in TRAPS.items()} == {
        name: SPANS.get(name, ("8.5.0", "master")) for name in TRAPS
    }


@pytest.mark.parametrize(
    ("name", "opset", "seen"),
    [
        ("shape-part", 14, False),
        ("shape-part", 15, True),
        ("split-no-sizes", 17, False),
        ("split-no-sizes", 18, True),
        ("reduce-mean-axes-input", 17, False),
        ("reduce-axes-attribute", 12, False),
        ("reduce-axes-attribute", 13, True),
        ("reduce-axes-attribute", 17, True),
        ("reduce-axes-attribute", 18, False),
        ("log-softmax-axis", 12, True),
        ("log-softmax-axis", 13, False),
        ("batch-norm-training", 13, False),
        ("batch-norm-training", 14, True),
        ("clip-no-bound", 10, False),
        ("clip-no-bound", 11, True),
    ],
)
def test_the_opsets_of_the_traps(read, name, opset, seen):
    trap, (nodes, options) = TRAPS[name], CASES[name][0][0]
    found = looked_at(read, trap["releases"][1], Form(nodes, options | {"opset": opset}))
    assert (trap["reason"] in [finding.reason for finding in found.findings]) == seen


def test_every_trap_has_a_function_and_a_case():
    assert set(TRAPS) == set(CHECKS) == set(CASES)
    assert len(TRAPS) == len(read_table("cann.json")["traps"])


@pytest.mark.parametrize(("name", "number"), FORMS)
def test_a_trap_is_seen_in_its_releases_and_in_no_other(read, name, number):
    trap, looked = TRAPS[name], CASES[name][0][number]
    assert in_spans(looked.options.get("opset", 18), trap["opsets"])
    for release in RELEASES:
        found = looked_at(read, release, looked)
        words = [(finding.verdict, finding.reason) for finding in found.findings]
        assert ((trap["verdict"], trap["reason"]) in words) == (release in affected(trap)), (release, words)


@pytest.mark.parametrize(("name", "number"), SAFE)
def test_the_safe_form_is_no_trap(read, name, number):
    trap, looked = TRAPS[name], CASES[name][1][number]
    for release in affected(trap):
        reasons = [finding.reason for finding in looked_at(read, release, looked).findings]
        assert trap["reason"] not in reasons, release


# The safe forms are ok, not only free of one trap, in the newest release that has the trap.
@pytest.mark.parametrize(("name", "number"), SAFE)
def test_the_safe_form_is_read_rightly(read, name, number):
    looked = CASES[name][1][number]
    assert looked_at(read, affected(TRAPS[name])[-1], looked).verdict == "ok"


def test_a_trap_is_mended_in_the_release_after_its_last():
    for trap in TRAPS.values():
        last = RELEASES.index(trap["releases"][1])
        after = RELEASES[last + 1] if last + 1 < len(RELEASES) else ""
        # What the next release does is not certain for one, and a matter of a row of its own for others.
        assert trap["mended_in"] in {after, ""}, trap["name"]
        assert trap["reason"]
        assert trap["safe_form"]


@pytest.mark.parametrize(
    ("name", "mended"),
    [
        ("shape-part", ""),
        ("split-no-sizes", ""),
        ("reduce-mean-axes-input", "9.2.0-beta.2 (branch)"),
        ("reduce-axes-input", "9.1.0"),
        ("reduce-axes-attribute", "9.2.0-beta.2 (branch)"),
        ("scatter-nd-reduction", ""),
        ("scatter-elements-reduction", "9.1.0"),
        ("batch-norm-training", "9.2.0-beta.1"),
    ],
)
def test_the_release_that_mends_it(read, name, mended):
    trap = TRAPS[name]
    found = looked_at(read, trap["releases"][0], CASES[name][0][0])
    assert (found.verdict, found.mended_in, found.safe_form) == ("misread", mended, trap["safe_form"])
    assert found.worst.source.startswith("hicann/")


def test_the_worst_finding_decides_and_the_others_stay(read):
    looked = resize(antialias=1, mode="cubic", cubic_coeff_a=-0.5)
    found = looked_at(read, "9.1.0", looked)
    assert [finding.verdict for finding in found.findings] == ["misread", "attribute ignored"]
    content = found.to_dict()
    assert content["verdict"] == "misread"
    assert [entry["verdict"] for entry in content["also"]] == ["attribute ignored"]


def test_attributes_of_other_types_are_not_known(read):
    looked = form("MaxPool", kernel_shape=3)
    found = looked_at(read, "master", looked)
    assert (found.verdict, found.reason) == ("unknown", "an attribute has another type than ONNX gives it")


def test_factors_come_from_inferred_shapes_too(read):
    sizes = {"n": np.array([1, 4, 24, 24])}
    looked = resize(constants=sizes, inputs=("x", "", "", "n"), **NEAREST | {"nearest_mode": "round_prefer_floor"})
    assert looked_at(read, "9.1.0", looked).verdict == "misread"
