"""The description of a model as data: its contract, and where its code is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import UsageError, did_you_mean
from .forms import RAW
from .lazy import import_torch, resolve
from .params import MOST_PIXELS_A_SIDE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from .forms import Form
    from .protocols import Postprocess, Preprocess, Variant
    from .weights.checkpoint import Checkpoint
    from .weights.keys import KeyRules

    Array = NDArray[np.float32]
    StateDict = Mapping[str, "Tensor | NDArray[Any]"]


@dataclass(frozen=True)
class VariantOptions:
    """Settings that cannot always be inferred from the checkpoint; None leaves one to it, then to the model's default.

    Attributes:
        input_size: (H, W) of the network input.
        preprocess: Name of a preprocessing convention of the model.
        activation: Name of the network's activation function.
        labels: Class names, or the name of one of the model's own lists (`ModelSpec.label_lists`).

    """

    input_size: tuple[int, int] | None = None
    preprocess: str | None = None
    activation: str | None = None
    labels: tuple[str, ...] | str | None = None


# Class names that are listed for people.
_SHOWN_LABELS = 3


class Signature(NamedTuple):
    """Names of what goes into a network and comes out of it, in order.

    Attributes:
        inputs: Names of the inputs.
        outputs: Names of the outputs.

    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Plan(NamedTuple):
    """Everything that is derived from a checkpoint but the tensors.

    Keys, shapes and a configuration do not tell everything. `decided_by` says where each remaining decision came from,
    `guesses` which of them the checkpoint may contradict without anything failing.

    Attributes:
        variant: The structure of the network.
        input_size: (H, W).
        preprocess: Parameters of the model's preprocessing, a frozen dataclass.
        postprocess: Parameters of the model's postprocessing, a frozen dataclass.
        labels: Class names.
        decided_by: The source of each setting that the tensors do not tell: "option", "checkpoint config",
            "model default" and so on.
        guesses: Settings of `decided_by` that were guessed: the model offers several choices, and neither an option nor
            the checkpoint's configuration names one (the wrapping of a checkpoint only suggests one). Empty for
            untrained weights, which fit every choice equally.

    """

    variant: Variant
    input_size: tuple[int, int]
    preprocess: Any
    postprocess: Any
    labels: tuple[str, ...]
    decided_by: Mapping[str, str]
    guesses: tuple[str, ...] = ()

    def assumptions(self) -> tuple[str, ...]:
        """Return the guesses for people: each setting, its value, and why, as "preprocess megvii (Megvii wrapping)"."""
        more = ["..."] if len(self.labels) > _SHOWN_LABELS else []
        values: dict[str, Any] = {
            **self.variant.to_dict(),
            "labels": ", ".join([*self.labels[:_SHOWN_LABELS], *more]),
            "preprocess": getattr(self.preprocess, "convention", ""),
        }
        return tuple(f"{name} {values[name]} ({self.decided_by[name]})" for name in self.guesses if values.get(name))


# Sources that settle a decision for certain, in the words of `Plan.decided_by`.
_TOLD = ("option", "checkpoint config")

# Default places of a model's code, relative to its package.
_CODE = {
    "variant": ".variant:infer_variant",
    "default_variant": ".variant:DEFAULT_VARIANT",
    "recipe": ".recipe:RECIPE",
    "plan": ".plan:plan",
    "preprocess": ".preprocess:preprocess",
    "preprocess_params": ".preprocess:PreprocessParams",
    "postprocess": ".postprocess:postprocess",
    "postprocess_params": ".postprocess:PostprocessParams",
}


@dataclass(frozen=True)
class ModelSpec:
    """One model: its contract as data, its code as ``"module:attribute"`` names that are imported when first used.

    Attributes:
        name: The name that the commands take.
        package: The package that the modules of `code` are relative to.
        task: What the model finds.
        kind: The kind of the model's result: "detections", "landmarks" or "classes".
        input_name: Name of the ONNX input (N, 3, H, W) float32.
        output_names: Names of the ONNX outputs, in order.
        outputs: Description of the outputs' content, for people.
        sizes: The input sizes that the model takes, for people.
        stride: Input sides are multiples of the stride; None where the network fixes the size.
        code: Place of each part of the model's code:

            - ``network``: the network class; its constructor takes a variant, its module maps (N, 3, H, W) float32 to a
              dict of the outputs by name. Every model names it; the rest has the defaults in parentheses.
            - ``variant`` (``.variant:infer_variant``): shapes by key -> variant.
            - ``default_variant`` (``.variant:DEFAULT_VARIANT``): the variant of the untrained weights.
            - ``recipe`` (``.recipe:RECIPE``): a `weights.seeding.Recipe`, the numbers of the untrained weights.
            - ``keys`` (none): a `weights.keys.KeyRules`, where checkpoints have other keys than the network.
            - ``export_form`` (none): a function that takes a fused network and returns one that computes the same in a
              form which ONNX Runtime runs faster.
            - ``plan`` (``.plan:plan``): (checkpoint, options) -> `Plan`.
            - ``preprocess``, ``postprocess`` (``.preprocess:preprocess`` ...): the functions.
            - ``output_shapes`` (a function of this name beside ``postprocess``, if there is one): what it can decode.
            - ``decode`` (none): of a model in a form other than its own, see `Form`.
            - ``preprocess_params``, ``postprocess_params`` (``.preprocess:PreprocessParams`` ...): the dataclasses of
              their parameters.

        labels: The model's own class names, for checkpoints of that many classes without names.
        label_lists: Other published orders of the model's class names, by the names that ``--labels`` takes.
        translations: The class names in other languages, by language.
        hub: The address of the published weights, or None.
        conventions: Names that ``--preprocess`` takes.
        activations: Names that ``--activation`` takes.
        batch_size: Images that ``cvrun`` runs together by default.
        takes_boxes: Whether preprocessing looks at boxes in an image, such as faces.
        margin: What a region of an image is wider than the box that it is cut out for, on each side, as a share of the
            box; for models that do not look at boxes themselves.
        skeleton: ``"module:attribute"`` of the `Skeleton` of the model's points; None where it finds no points.
        forms: Other outputs that a file may give, by the names that ``--form`` takes.
        form: The form that outputs have here.

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
    code: Mapping[str, str] = field(repr=False)
    labels: tuple[str, ...] = ()
    label_lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    translations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    hub: str | None = None
    conventions: tuple[str, ...] = ()
    activations: tuple[str, ...] = ()
    batch_size: int = 1
    takes_boxes: bool = False
    margin: float = 0.0
    skeleton: str | None = None
    forms: Mapping[str, Form] = field(default_factory=dict, repr=False)
    form: str = RAW

    def _load(self, name: str) -> Any:  # noqa: ANN401
        return resolve(self.code.get(name) or _CODE[name], self.package)

    @property
    def artifact_name(self) -> str:
        """The name under which the model is published in this form."""
        return self.name if self.form == RAW else f"{self.name}-{self.form}"

    def in_form(self, name: str) -> ModelSpec:
        """Return the model with the outputs of a form in the place of the network's own.

        Raises:
            UsageError: It has no such form.

        """
        if name == self.form:
            return self
        form = self.forms.get(name)
        if form is None:
            what = (
                did_you_mean(name, (RAW, *self.forms))
                if self.forms
                else "Its outputs are already decoded, or its package has no other form."
            )
            raise UsageError(f"{self.name} has no form {name!r}", what)
        code = {"decode": form.decode, "postprocess": form.postprocess, "output_shapes": form.output_shapes}
        return replace(
            self, form=name, output_names=form.output_names, outputs=form.outputs, code={**self.code, **code}
        )

    @property
    def inner(self) -> ModelSpec:
        """The model in the form that its network gives; in most forms that is this one."""
        form = self.forms.get(self.form)
        return self if form is None or not form.inner else self.in_form(form.inner)

    def formed(self, network: nn.Module, params: Any) -> nn.Module:  # noqa: ANN401
        """Return a network that gives the outputs of this form.

        Args:
            network: From `build_network`.
            params: Of the postprocessing: strides, activation.

        """
        if self.form == RAW:
            return network
        wrap = resolve(".ops.formed:Formed", __package__)
        formed: nn.Module = wrap(network, self._load("decode")(params))
        return formed

    def _key_rules(self) -> KeyRules:
        rules: KeyRules = (
            self._load("keys") if "keys" in self.code else resolve(".weights.keys:KeyRules", __package__)()
        )
        return rules

    def plan(self, checkpoint: Checkpoint, options: VariantOptions | None = None) -> Plan:
        """Decide what a checkpoint turns into.

        Raises:
            WeightsError: The keys are not this model's.
            UsageError: An option does not fit the model or the checkpoint.

        """
        options = options or VariantOptions()
        self._check(options)
        made: Plan = self._load("plan")(checkpoint, options)
        return made if checkpoint.untrained else made._replace(guesses=self._guesses(made.decided_by))

    def plan_each_convention(self, checkpoint: Checkpoint, options: VariantOptions | None = None) -> dict[str, Plan]:
        """Return the plan under every preprocessing convention of the model, by convention.

        Any of them fits the tensors, so this is how a guessed convention is compared with the others. Empty for a model
        with one preprocessing.

        Raises:
            WeightsError: The keys are not this model's.
            UsageError: An option does not fit the model or the checkpoint.

        """
        options = options or VariantOptions()
        return {name: self.plan(checkpoint, replace(options, preprocess=name)) for name in self.conventions}

    def _guesses(self, decided_by: Mapping[str, str]) -> tuple[str, ...]:
        choices = {"preprocess": self.conventions, "activation": self.activations, "labels": self.label_lists}
        return tuple(name for name, by in decided_by.items() if len(choices.get(name, ())) > 1 and by not in _TOLD)

    def inference_state(self, state_dict: StateDict) -> StateDict:
        """Return what inference needs of a state dict without wrapping and prefixes, by the network's own keys.

        Raises:
            WeightsError: A tensor is there under two keys, or a constant of the network has other values.

        """
        state: StateDict = resolve(".weights.keys:inference_state", __package__)(state_dict, self._key_rules())
        return state

    def build_network(self, state_dict: StateDict, variant: Variant | None = None) -> nn.Module:
        """Return the network in eval mode with its weights strictly loaded, as trained (nothing fused).

        Args:
            state_dict: Keys as upstream names them, without wrapping or prefix; torch tensors or numpy arrays. What
                only training needs may be in it.
            variant: The network's structure, from `plan`; None infers it from the keys and shapes.

        Returns:
            A module that maps (N, 3, H, W) float32 to a dict of the outputs by name, in the order of `output_names`.

        Raises:
            WeightsError: Keys are missing, unexpected or misshapen.

        """
        import_torch()
        state = self.inference_state(state_dict)
        if variant is None:
            shapes = resolve(".weights.keys:shapes_of", __package__)(state)
            variant = self._load("variant")(shapes)
        build = resolve(".weights.build:build_network", __package__)
        network: nn.Module = build(self._load("network"), state, variant)
        return network

    def fuse(self, network: nn.Module) -> nn.Module:
        """Return a copy with BatchNorm folded and branches re-parameterised, equal up to rounding."""
        import_torch()
        fused: nn.Module = resolve(".ops.fusion:fuse", __package__)(network)
        return fused

    def export_form(self, network: nn.Module) -> nn.Module:
        """Return a fused network in the form that is exported, equal up to rounding."""
        if "export_form" not in self.code:
            return network
        make = self._load("export_form")
        change = make if self.form == RAW else resolve(".ops.formed:within", __package__)(make)
        form: nn.Module = change(network)
        return form

    def seeded(self, seed: int, variant: Variant | None = None) -> dict[str, NDArray[Any]]:
        """Return the state dict of an untrained network, the same for the same seed on every machine.

        Args:
            seed: Each tensor depends on this, its key and its shape alone.
            variant: The network's structure; None for the model's default.

        Returns:
            Arrays by key, float32 but for the integer counters, in the order of the network's state dict.

        """
        import_torch()
        make = resolve(".weights.build:seeded_state", __package__)
        chosen = self._load("default_variant") if variant is None else variant
        state: dict[str, NDArray[Any]] = make(
            self._load("network"), chosen, self._load("recipe"), self._key_rules(), seed
        )
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
    def sealed_parameters(self) -> tuple[str, ...]:
        """Parameters of the postprocessing that are a part of a file's graph in this form."""
        form = self.forms.get(self.form)
        return () if form is None else form.sealed

    def dtype_of(self, output: str) -> str:
        """Return the type of an output, "float32" or "int64"."""
        form = self.forms.get(self.form)
        return "int64" if form is not None and output in form.whole_numbers else "float32"

    def output_shapes(
        self,
        params: Any,  # noqa: ANN401
        labels: Sequence[str],
        input_size: tuple[int, int],
    ) -> dict[str, tuple[int | None, ...]]:
        """Return the shape that each output must have to be decoded, without the batch; None for a side that is any.

        Args:
            params: Of the postprocessing.
            labels: Class names.
            input_size: (H, W) of the network input.

        Returns:
            Shapes by output; empty where the model does not say.

        """
        module = (self.code.get("postprocess") or _CODE["postprocess"]).partition(":")[0]
        try:
            function = resolve(self.code.get("output_shapes") or f"{module}:output_shapes", self.package)
        except AttributeError:
            return {}
        shapes: dict[str, tuple[int | None, ...]] = function(params, labels, input_size)
        return shapes

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
        if options.input_size and max(options.input_size) > MOST_PIXELS_A_SIDE:
            height, width = options.input_size
            raise UsageError(
                f"input size {height},{width} is too large", f"Give sides of at most {MOST_PIXELS_A_SIDE} pixels."
            )
