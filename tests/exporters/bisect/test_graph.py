"""A network as a list of operators, and where it can be cut in two."""

from __future__ import annotations

import pytest
from onnx import TensorProto, helper

from cvport.exporters.bisect.graph import Network, Operator, find_cuts, needed, network_of


def node(name, inputs, outputs, kind="Add"):
    return Operator(name, kind, tuple(inputs), tuple(outputs))


# x -> a -> b -> d -> out, with a branch a -> c -> d.
BRANCHED = Network(
    (node("A", "x", "a"), node("B", "a", "b"), node("C", "a", "c"), node("D", "bc", "d"), node("E", "d", "e")),
    ("x",),
    ("e",),
)


def test_what_crosses_a_cut_is_all_that_is_needed_later():
    cuts = find_cuts(BRANCHED, set("abcde"))
    assert [(cut.after, cut.live) for cut in cuts] == [
        (0, ("x",)),
        (1, ("a",)),
        (2, ("a", "b")),
        (3, ("b", "c")),
        (4, ("d",)),
        (5, ("e",)),
    ]


def test_no_cut_where_one_leg_lacks_a_value():
    assert [cut.after for cut in find_cuts(BRANCHED, set("acde"))] == [0, 1, 4, 5], "b is inside a fused kernel"
    assert [cut.after for cut in find_cuts(BRANCHED, set())] == [0, 5], "the ends are always there"


def test_an_output_on_the_way_stays_to_be_compared():
    network = BRANCHED._replace(outputs=("a", "e"))
    assert [cut.live for cut in find_cuts(network, set("abcde"))][-1] == ("a", "e")


def test_what_depends_on_shapes_alone_crosses_any_cut():
    operators = (node("S", "x", ["shape"], "Shape"), node("A", "x", "a"), node("R", ["a", "shape"], "r", "Reshape"))
    cuts = find_cuts(Network(operators, ("x",), ("r",)), {"a"})
    assert [(cut.after, cut.live) for cut in cuts] == [(0, ("x",)), (1, ("x",)), (2, ("a",)), (3, ("r",))]


def test_needed_operators_come_in_order_and_stop_at_what_is_given():
    assert needed(BRANCHED, {"x"}, ["e"]) == [0, 1, 2, 3, 4]
    assert needed(BRANCHED, {"a"}, ["d"]) == [1, 2, 3]
    assert needed(BRANCHED, {"a", "b"}, ["b"]) == []
    with pytest.raises(KeyError):
        needed(BRANCHED, {"b"}, ["d"])


def test_graph_of_a_file_leaves_constants_out_and_looks_into_subgraphs():
    value = helper.make_tensor_value_info
    branch = helper.make_graph(
        [helper.make_node("Add", ["outer", "w"], ["inner"])], "then", [], [value("inner", TensorProto.FLOAT, None)]
    )
    nodes = [
        helper.make_node("Constant", [], ["c"], value_float=1.0),
        helper.make_node("Add", ["x", "c"], ["outer"]),
        helper.make_node("Cast", ["x"], ["flag"], to=TensorProto.BOOL),
        helper.make_node("If", ["flag"], ["y"], name="choose", then_branch=branch, else_branch=branch),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, [1])],
        [value("y", TensorProto.FLOAT, None)],
        [helper.make_tensor("w", TensorProto.FLOAT, [1], [2.0])],
    )
    network = network_of(graph, {"outer": "stem.add"})
    assert [(operator.name, operator.inputs, operator.module) for operator in network.operators] == [
        ("Add_1", ("x",), "stem.add"),
        ("Cast_2", ("x",), ""),
        ("choose", ("flag", "outer"), ""),
    ]
    assert (network.inputs, network.outputs) == (("x",), ("y",))
