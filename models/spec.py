"""What cvport knows about a model, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..errors import UsageError, did_you_mean
from .lazy import import_torch, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from .weights.checkpoint import Checkpoint

    Array = NDArray[np.float32]
    StateDict = Mapping[str, "Tensor | NDArray[Any]"]


@dataclass(frozen=True)
class VariantOptions:
    """What a user may fix about a variant; None leaves it to the checkpoint, then to the model's default.

    Attributes:
        input_size: (H, W) of the network input.
        preprocess: A preprocessing convention of the model.
        activation: The activation function of the network.
        labels: Class names, or the name of one of the model's own lists (`ModelSpec.label_lists`).

    """

    input_size: tuple[int, int] | None = None
    preprocess: str | None = None
    activation: str | None = None
    labels: tuple[str, ...] | str | None = None


class Variant(Protocol):
    """The structure of one network of a family, as its checkpoint's keys and shapes give it."""

    @property
    def title(self) -> str:
        """The structure in a few words."""

    def to_dict(self) -> dict[str, Any]:
        """Return the structure as a JSON-able dictionary."""


class Preprocess(Protocol):
    """(image (h, w, 3) uint8 BGR, params, out (3, H, W) float32 or None) -> (network input, frame).

    Models that look at faces also take ``box``, (x1, y1, x2, y2) in pixels of the image; None is the whole image.
    """

    def __call__(  # noqa: D102
        self,
        image: NDArray[np.uint8],
        params: Any,  # noqa: ANN401
        out: Array | None = None,
        **box: Any,  # noqa: ANN401
    ) -> tuple[Array, Any]: ...


class Postprocess(Protocol):
    """(raw outputs of a batch, its frames, params, labels) -> one result a frame.

    Detectors also take ``classes``, the ids to report, and ``best``, how many of the best candidates to take whatever
    their score.
    """

    def __call__(  # noqa: D102
        self,
        outputs: Mapping[str, Array],
        frames: Sequence[Any],
        params: Any,  # noqa: ANN401
        labels: Sequence[str],
        **choice: Any,  # noqa: ANN401
    ) -> list[Any]: ...


class Signature(NamedTuple):
    """Names of what goes into a network and comes out of it, in order.

    Attributes:
        inputs: Names of the inputs.
        outputs: Names of the outputs.

    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Plan(NamedTuple):
    """What a checkpoint turns into: everything but the tensors.

    Attributes:
        variant: The structure of the network.
        input_size: (H, W).
        preprocess: Parameters of the model's preprocessing, a frozen dataclass.
        postprocess: Parameters of the model's postprocessing, a frozen dataclass.
        labels: Class names.
        decided_by: For each thing that the tensors do not tell, who decided it ("option", "checkpoint config" ...).

    """

    variant: Variant
    input_size: tuple[int, int]
    preprocess: Any
    postprocess: Any
    labels: tuple[str, ...]
    decided_by: Mapping[str, str]


@dataclass(frozen=True)
class ModelSpec:
    """One model: its contract as data, its code as ``"module:attribute"`` names that are imported when first used.

    Attributes:
        name: As the commands call it.
        package: Where the names below are looked up.
        task: What it finds.
        kind: Its kind of result: "detections", "landmarks" or "classes".
        input_name: Of the ONNX input (N, 3, H, W) float32.
        output_names: Of the ONNX outputs, in order.
        outputs: What they hold, for people.
        sizes: The input sizes that it takes, for people.
        stride: Input sides are multiples of it; None where the network fixes the size.
        labels: Its own class names, for checkpoints of that count which bring none.
        label_lists: Other orders of its class names that were published, by the names that ``--labels`` takes.
        translations: By language, its class names in it.
        hub: The address of its published weights, or None.
        conventions: Names that ``--preprocess`` takes.
        activations: Names that ``--activation`` takes.
        for_inference: ``"module:attribute"`` of a function that takes a state dict and returns it without what only
            training needs; None where checkpoints hold nothing of the kind.
        for_export: ``"module:attribute"`` of a function that takes a fused network and returns one that computes the
            same in a form which ONNX Runtime runs faster; None where there is no such form.
        batch_size: Images that ``cvrun`` runs together where nothing else is said.
        takes_boxes: Whether its preprocessing looks at boxes in an image, such as faces.
        skeleton: ``"module:attribute"`` of the `Skeleton` of its points; None where it finds none.

    """

    name: str
    package: str
    task: str
    kind: str
    input_name: str
    output_names: tuple[str, ...]
    outputs: str
    sizes: str
    stride: int | None
    labels: tuple[str, ...] = ()
    label_lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    translations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    hub: str | None = None
    conventions: tuple[str, ...] = ()
    activations: tuple[str, ...] = ()
    for_inference: str | None = None
    for_export: str | None = None
    batch_size: int = 1
    takes_boxes: bool = False
    skeleton: str | None = None
    code: Mapping[str, str] = field(
        default_factory=lambda: {
            "plan": ".plan:plan",
            "seeded": ".plan:seeded",
            "build_network": ".network:build_network",
            "preprocess": ".preprocess:preprocess",
            "preprocess_params": ".preprocess:PreprocessParams",
            "postprocess": ".postprocess:postprocess",
            "postprocess_params": ".postprocess:PostprocessParams",
        },
        repr=False,
    )

    def _load(self, name: str) -> Any:  # noqa: ANN401
        return resolve(self.code[name], self.package)

    def plan(self, checkpoint: Checkpoint, options: VariantOptions | None = None) -> Plan:
        """Decide what a checkpoint turns into.

        Raises:
            WeightsError: The keys are not this model's.
            UsageError: An option does not fit the model or the checkpoint.

        """
        options = options or VariantOptions()
        self._check(options)
        made: Plan = self._load("plan")(checkpoint, options)
        return made

    def inference_state(self, state_dict: StateDict) -> StateDict:
        """Return what inference needs of a state dict without wrapping and prefixes."""
        if self.for_inference is None:
            return state_dict
        state: StateDict = resolve(self.for_inference, self.package)(state_dict)
        return state

    def build_network(self, state_dict: StateDict, variant: Variant | None = None) -> nn.Module:
        """Return the network in eval mode with its weights strictly loaded, as trained (nothing fused).

        Args:
            state_dict: Keys as upstream names them, without wrapping or prefix; torch tensors or numpy arrays. What
                only training needs may be in it.
            variant: From `plan`; None infers it from the keys and shapes.

        Returns:
            A module that maps (N, 3, H, W) float32 to a dict of the outputs by name, in the order of `output_names`.

        Raises:
            WeightsError: Keys are missing, unexpected or misshapen.

        """
        import_torch()
        network: nn.Module = self._load("build_network")(self.inference_state(state_dict), variant)
        return network

    def fuse(self, network: nn.Module) -> nn.Module:
        """Return a copy with BatchNorm folded and branches re-parameterised, equal up to rounding."""
        import_torch()
        fused: nn.Module = resolve(".ops.fusion:fuse", __package__)(network)
        return fused

    def export_form(self, network: nn.Module) -> nn.Module:
        """Return a fused network in the form that is exported, equal up to rounding."""
        if self.for_export is None:
            return network
        form: nn.Module = resolve(self.for_export, self.package)(network)
        return form

    def seeded(self, seed: int) -> dict[str, NDArray[Any]]:
        """Return the state dict of an untrained network, the same for the same seed on every machine."""
        import_torch()
        state: dict[str, NDArray[Any]] = self._load("seeded")(seed)
        return state

    @property
    def preprocess(self) -> Preprocess:
        """The model's preprocessing function."""
        function: Preprocess = self._load("preprocess")
        return function

    @property
    def postprocess(self) -> Postprocess:
        """The model's postprocessing function."""
        function: Postprocess = self._load("postprocess")
        return function

    @property
    def signature(self) -> Signature:
        """The names of the network's inputs and outputs, in order."""
        return Signature((self.input_name,), self.output_names)

    @property
    def params_types(self) -> tuple[type[Any], type[Any]]:
        """The dataclasses of the preprocessing and the postprocessing parameters."""
        return self._load("preprocess_params"), self._load("postprocess_params")

    def _check(self, options: VariantOptions) -> None:
        for option, value, known in (
            ("--preprocess", options.preprocess, self.conventions),
            ("--activation", options.activation, self.activations),
        ):
            if value is not None and value not in known:
                hint = did_you_mean(value, known) if known else "Leave the option out."
                raise UsageError(f"{self.name} has no {option} {value!r}", hint)
        if isinstance(options.labels, str) and options.labels not in self.label_lists:
            raise UsageError(
                f"--labels {options.labels} is neither a file nor a list of {self.name}",
                did_you_mean(options.labels, self.label_lists) if self.label_lists else "Give a text file.",
            )
        if options.input_size and self.stride is None:
            raise UsageError(f"the network of {self.name} fixes its input size", "Leave --input-size out.")
        if options.input_size and any(side <= 0 or side % (self.stride or 1) for side in options.input_size):
            height, width = options.input_size
            raise UsageError(
                f"input size {height},{width} does not fit {self.name}",
                f"Give sides that are multiples of {self.stride}.",
            )


def choose_labels(
    spec: ModelSpec, count: int, options: VariantOptions, from_checkpoint: Sequence[str]
) -> tuple[tuple[str, ...], str]:
    """Return *count* class names and who decided them.

    The option wins, then the checkpoint, then the model's own list and COCO's where the count fits.

    Raises:
        UsageError: The option has another count.

    """
    given = spec.label_lists[options.labels] if isinstance(options.labels, str) else options.labels
    if given is not None:
        if len(given) != count:
            raise UsageError(
                f"{len(given)} labels were given, the network has {count} classes",
                "Give one label a line, in class order.",
            )
        return given, "option"
    if len(from_checkpoint) == count:
        return tuple(from_checkpoint), "checkpoint config"
    if len(spec.labels) == count:
        return spec.labels, "model default"
    if len(COCO_LABELS) == count:
        return COCO_LABELS, "COCO"
    return tuple(f"class_{i}" for i in range(count)), "numbered"


# The 80 classes of COCO 2017 detection, in the order of their category ids (cocodataset.org, annotations).
_COCO = """
person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,parking meter,bench,
bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,frisbee,skis,snowboard,
sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,cup,fork,knife,spoon,
bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,potted plant,bed,dining table,
toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,
teddy bear,hair drier,toothbrush
"""
COCO_LABELS = tuple(name.strip() for name in _COCO.split(","))
