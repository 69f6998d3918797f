"""The two sides of a search: each runs any part of its network, from given values to wanted ones."""

from __future__ import annotations

import operator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ...errors import ArtifactError
from ...models.lazy import import_torch
from ...runtimes.parity.tensors import measure_tensor
from .graph import needed, network_of
from .lean import filled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import onnx
    import onnxruntime
    from torch import fx

    from ...runtimes.backends.base import Array
    from ...runtimes.parity.tensors import TensorStats
    from .lean import Stored

# How much the constants and inputs of a network are moved to see what its rounding may do: a unit in the last place
# along each axis, two for a convolution's kernel, as a sum of rounded products has them (Wilkinson's backward error,
# measured instead of bounded).
_NUDGE = 2.0**-23
# Operators whose constants decide on shapes: those are no weights, and exact.
_SHAPED = frozenset({"Resize", "Upsample"})


class Side(Protocol):
    """One leg.

    Attributes:
        outputs: Names of what comes out.
        values: Names of the values that it can give.

    """

    outputs: tuple[str, ...]
    values: frozenset[str]

    def run(self, rows: Sequence[Mapping[str, Array]], wanted: Sequence[str]) -> list[dict[str, Array]]:
        """Return values, computed from others, for each of some rows of the same names and shapes."""


class ReferenceSide(Side, Protocol):
    """A leg that is taken for right: it can tell its own rounding."""

    def noise(self, given: Mapping[str, Array], made: Mapping[str, Array]) -> dict[str, TensorStats]:
        """Return the rounding error of values that were made of others."""


class FileSide:
    """An ONNX file in ONNX Runtime: a part of it is a file of its own.

    Args:
        model: The file.
        modules: Path of the PyTorch module of each value, as far as known.
        weights: Tensors of the file that are read when they are needed, by name.
        optimised: Whether ONNX Runtime may rewrite what it runs.

    """

    def __init__(
        self,
        model: onnx.ModelProto,
        modules: Mapping[str, str] | None = None,
        weights: Mapping[str, Stored] | None = None,
        *,
        optimised: bool = True,
    ) -> None:
        self.model = model
        self.network = network_of(model.graph, modules or {})
        self.outputs = self.network.outputs
        self._optimised, self._weights = optimised, weights or {}
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._constants = {node.output[0]: node for node in model.graph.node if node.op_type == "Constant"}
        self._nodes = [node for node in model.graph.node if node.op_type != "Constant"]
        self.values = frozenset(name for entry in self.network.operators for name in entry.outputs)

    def run(self, rows: Sequence[Mapping[str, Array]], wanted: Sequence[str]) -> list[dict[str, Array]]:
        """Return values, computed from others by ONNX Runtime."""
        return self._run(self._part(rows[0], wanted), rows, wanted)

    def noise(self, given: Mapping[str, Array], made: Mapping[str, Array]) -> dict[str, TensorStats]:
        """Return how values move when all that they are made of moves by its own rounding."""
        part = self._part(given, list(made))
        _nudge(part)
        moved = {name: _moved(value, index) for index, (name, value) in enumerate(sorted(given.items()))}
        # Folded constants would be a second copy of all weights.
        (other,) = self._run(part, [moved], list(made), ["ConstantFolding"])
        return {name: measure_tensor(made[name], other[name]) for name in made}

    def part(self, given: Mapping[str, Array], wanted: Sequence[str]) -> onnx.ModelProto:
        """Return the part of the file that makes some values from others, as a file of its own."""
        part = self._part(given, wanted)
        tensors = [filled(tensor, self._weights) for tensor in part.graph.initializer]
        del part.graph.initializer[:]
        part.graph.initializer.extend(tensors)
        return part

    def _part(self, given: Mapping[str, Array], wanted: Sequence[str]) -> onnx.ModelProto:
        """Return the part without the weights that are read when they are needed."""
        import onnx
        from onnx import helper

        numbers = needed(self.network, given, [name for name in wanted if name not in given])
        nodes = [self._nodes[number] for number in numbers]
        names = {name for node in nodes for name in node.input}
        names |= {name for number in numbers for name in self.network.operators[number].inputs}
        taken = [name for name in given if name in names]
        inputs = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(given[name].dtype), given[name].shape)
            for name in taken
        ]
        outputs = [onnx.ValueInfoProto(name=name) for name in wanted if name not in given]
        constants = [self._constants[name] for name in self._constants if name in names]
        tensors = [self._tensors[name] for name in self._tensors if name in names]
        graph = helper.make_graph([*constants, *nodes], "part", inputs, outputs, tensors)
        part = helper.make_model(graph, opset_imports=self.model.opset_import, functions=self.model.functions)
        part.ir_version = self.model.ir_version
        return part

    def _run(
        self,
        part: onnx.ModelProto,
        rows: Sequence[Mapping[str, Array]],
        wanted: Sequence[str],
        disabled: Sequence[str] = (),
    ) -> list[dict[str, Array]]:
        names = [name for name in wanted if name not in rows[0]]
        made = [{name: given[name] for name in wanted if name in given} for given in rows]
        if not names:
            return made
        try:
            with self._session(part, disabled) as session:
                for given, found in zip(rows, made, strict=True):
                    inputs = {value.name: given[value.name] for value in part.graph.input}
                    found |= dict(zip(names, session.run(names, inputs), strict=True))
        except ArtifactError:
            raise
        except Exception as error:  # onnxruntime's exceptions have no public base class
            raise ArtifactError(
                f"a part of the file cannot be run: {str(error).splitlines()[0]}", "Check the file."
            ) from error
        return made

    @contextmanager
    def _session(self, part: onnx.ModelProto, disabled: Sequence[str]) -> Iterator[onnxruntime.InferenceSession]:
        """Open a session, and keep the weights that it does not copy as long as it is open."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.enable_cpu_mem_arena = False  # a session runs a few times only: what it frees is to be free
        if not self._optimised:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        places = [self._weights[tensor.name] for tensor in part.graph.initializer if tensor.name in self._weights]
        if places:
            folder = str(places[0].path.absolute().parent)
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
            # Weights in another order for its kernels would be one more copy of them.
            options.add_session_config_entry("session.disable_prepacking", "1")
        yield onnxruntime.InferenceSession(
            part.SerializeToString(), options, providers=["CPUExecutionProvider"], disabled_optimizers=list(disabled)
        )


def _nudge(part: onnx.ModelProto) -> None:
    """Move each constant of a file by about its own rounding, up or down, in the file itself.

    A tensor is multiplied by one vector for each of its axes, whose values are one unit in the last place above or
    below 1: so no second copy of the weights is needed, and neighbours move differently along any axis.
    """
    from onnx import TensorProto, helper, numpy_helper

    shaping = {name for node in part.graph.node if node.op_type in _SHAPED for name in node.input[1:]}
    moved, nodes = {}, []
    for index, tensor in enumerate(list(part.graph.initializer)):
        if tensor.data_type != TensorProto.FLOAT or tensor.name in shaping or not tensor.dims:
            continue
        name = tensor.name
        for axis, size in enumerate(tensor.dims):
            if size > 1 or len(tensor.dims) == 1:
                shape = [size if other == axis else 1 for other in range(len(tensor.dims))]
                vector = numpy_helper.from_array(_near_one(shape, 16 * index + axis), f"{tensor.name}/near_one/{axis}")
                part.graph.initializer.append(vector)
                nodes.append(helper.make_node("Mul", [name, vector.name], [f"{tensor.name}/moved/{axis}"]))
                name = nodes[-1].output[0]
        moved[tensor.name] = name
    for node in part.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = moved.get(name, name)
    rest = list(part.graph.node)
    del part.graph.node[:]
    part.graph.node.extend([*nodes, *rest])


def _near_one(shape: Sequence[int], seed: int) -> Array:
    signs = np.random.default_rng(seed).integers(0, 2, shape, dtype=np.int8) * 2 - 1
    return np.asarray(1 + _NUDGE * signs, np.float32)


def _moved(value: Array, seed: int) -> Array:
    return np.asarray(value * _near_one(value.shape, seed), np.float32) if value.dtype == np.float32 else value


class NetworkSide:
    """A traced PyTorch network, operator by operator.

    Args:
        program: What torch.export made of the network.
        names: Names of its inputs and outputs, as the file calls them.
        device: Where it runs.

    """

    def __init__(self, program: Any, names: tuple[Sequence[str], Sequence[str]], device: str = "cpu") -> None:  # noqa: ANN401
        self._torch = import_torch()
        self._device = device
        self.program = program
        self._nodes: dict[str, fx.Node] = {node.name: node for node in program.graph.nodes}
        self._constants = _constants(program)
        inputs, outputs = names
        free = [
            node.name for node in program.graph.nodes if node.op == "placeholder" and node.name not in self._constants
        ]
        ends = [entry.arg.name for entry in program.graph_signature.output_specs]
        self._alias = {**dict(zip(inputs, free, strict=True)), **dict(zip(outputs, ends, strict=True))}
        self._alias |= _pieces(program)
        self.outputs = tuple(outputs)
        self.values = frozenset(self._tensors())

    def _tensors(self) -> list[str]:
        """Return the names of values that are tensors of float32, under all their names."""
        found = {
            name
            for name, node in self._nodes.items()
            if node.op == "call_function" and getattr(node.meta.get("val"), "dtype", None) == self._torch.float32
        }
        return [*found, *(name for name, node in self._alias.items() if node in found)]

    @property
    def modules(self) -> dict[str, str]:
        """Path of the PyTorch module of each value, under all its names."""
        own = {}
        for name, node in self._nodes.items():
            stack = list(node.meta.get("nn_module_stack", {}).values())
            if node.op == "call_function" and stack and stack[-1][0]:
                own[name] = stack[-1][0]
        return {**own, **{name: own[node] for name, node in self._alias.items() if node in own}}

    def run(self, rows: Sequence[Mapping[str, Array]], wanted: Sequence[str]) -> list[dict[str, Array]]:
        """Return values, computed from others in float32."""
        return [self._evaluate(given, wanted, self._torch.float32) for given in rows]

    def noise(self, given: Mapping[str, Array], made: Mapping[str, Array]) -> dict[str, TensorStats]:
        """Return how values differ from the same computed in float64."""
        exact = self._evaluate(given, list(made), self._torch.float64)
        return {name: measure_tensor(exact[name], made[name]) for name in made}

    def _evaluate(self, given: Mapping[str, Array], wanted: Sequence[str], dtype: Any) -> dict[str, Array]:  # noqa: ANN401
        torch = self._torch
        known: dict[str, Any] = {}
        for name, value in given.items():
            known[self._alias.get(name, name)] = self._place(torch.from_numpy(np.ascontiguousarray(value)), dtype)
        with torch.inference_mode():
            targets = [self._alias.get(name, name) for name in wanted]
            self._compute(targets, known, dtype)
            return {name: known[target].detach().cpu().numpy() for name, target in zip(wanted, targets, strict=True)}

    def _place(self, value: Any, dtype: Any) -> Any:  # noqa: ANN401
        return value.to(self._device, dtype if value.is_floating_point() else None)

    def _compute(self, targets: Sequence[str], known: dict[str, Any], dtype: Any) -> None:  # noqa: ANN401
        """Compute values and all that they need, each when all of its inputs are there; drop what is used up."""
        order, uses = self._order(targets, known)
        for name in order:
            node = self._nodes[name]
            if node.op == "placeholder":
                known[name] = self._place(self._constants[name], dtype)
                continue

            def value_of(entry: Any) -> Any:  # noqa: ANN401
                return known[entry.name]

            function: Any = node.target
            arguments = _sized(node.target, self._torch.fx.node.map_arg(node.args, value_of))
            options = self._torch.fx.node.map_arg(node.kwargs, value_of)
            known[name] = function(*arguments, **options)
            for entry in node.all_input_nodes:
                uses[entry.name] -= 1
                if not uses[entry.name] and entry.name not in targets:
                    del known[entry.name]

    def _order(self, targets: Sequence[str], known: Mapping[str, Any]) -> tuple[list[str], dict[str, int]]:
        """Return what has to be computed, in order, and how often each value is used by that."""
        chosen: set[str] = set()
        open_names = [name for name in targets if name not in known]
        while open_names:
            name = open_names.pop()
            if name not in chosen:
                chosen.add(name)
                open_names += [entry.name for entry in self._nodes[name].all_input_nodes if entry.name not in known]
        order = [name for name in self._nodes if name in chosen]
        uses: dict[str, int] = {}
        for name in order:
            for entry in self._nodes[name].all_input_nodes:
                uses[entry.name] = uses.get(entry.name, 0) + 1
        return order, uses


def _sized(function: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:  # noqa: ANN401
    """Return arguments with a size in the place of factors: upsampling on an NPU takes no others."""
    if not str(function).startswith("aten.upsample_") or arguments[1] is not None:
        return arguments
    image, _, *rest, factors = arguments
    return image, [int(side * factor) for side, factor in zip(image.shape[2:], factors, strict=True)], *rest, None


def _constants(program: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the tensors of a program's parameters, buffers and constants by the names of their placeholders."""
    signature = program.graph_signature
    stored = {**program.state_dict, **program.constants}
    sources = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    return {name: stored[source] for name, source in sources.items()}


def _pieces(program: Any) -> dict[str, str]:  # noqa: ANN401
    """Return the nodes that stand for the pieces of a split, by the names that the exporter gives the pieces."""
    return {
        f"{node.args[0].name}_split_{node.args[1]}": node.name
        for node in program.graph.nodes
        if node.op == "call_function" and node.target is operator.getitem
    }
