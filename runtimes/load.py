"""What a user names becomes a predictor: an exported file, a published artifact, or a model with its weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ..errors import ArtifactError, CvportError, UsageError, WeightsError, did_you_mean
from ..models.registry import get_model, is_known, known_names
from ..models.spec import VariantOptions
from .backends.registry import BACKENDS, check_precision, choose_backend, open_backend
from .layout import check_layout
from .predictor import Predictor
from .seal import check_digest, read_seal, sealed_model, sealed_params

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from ..models.spec import ModelSpec, Plan, Signature
    from ..models.weights.checkpoint import Checkpoint
    from .backends.base import Backend, FileBackend
    from .seal import Seal

ARTIFACTS = Path("artifacts")
_SUFFIX = ".onnx"


def load(
    model: str | Path,
    *,
    backend: str = "auto",
    weights: str | Path | None = None,
    options: VariantOptions | None = None,
    device: str | None = None,
    threads: int | None = None,
    score_threshold: float | None = None,
    iou_threshold: float | None = None,
    max_detections: int | None = None,
    class_agnostic: bool | None = None,
    classes: Sequence[str | int] | None = None,
    batch_size: int | None = None,
    precision: str | None = None,
    providers: Sequence[str] | None = None,
    optimised: bool = True,
    offline: bool = False,
    cache_dir: Path | None = None,
    artifacts: Path = ARTIFACTS,
    check_integrity: bool = True,
) -> Predictor:
    """Return a predictor.

    Args:
        model: An exported .onnx file, an artifact's folder, the name of a published artifact, or a model's name.
        backend: "auto", "onnx", "npu" or "torch".
        weights: For torch and npu: what to build the network from; see `cvport.models.weights.files.parse_address`.
        options: For torch or npu and a model's name: settings that cannot be inferred from the weights.
        device: "cpu", "cuda:0", "npu:0" ...; None for the backend's default.
        threads: CPU threads of the network; None for the backend's default.
        score_threshold: Instead of the model's default.
        iou_threshold: Instead of the model's default.
        max_detections: Instead of the model's default.
        class_agnostic: Instead of the model's default.
        classes: Report only these classes: names, in any case and in any of the model's languages, or numbers.
        batch_size: Rows that the network gets at most in one run; see `Predictor`.
        precision: For npu: "strict" (float32, the default), "production" (as the device computes by default) or "fp16".
        providers: For onnx: ONNX Runtime's execution providers by the names of `backends.providers.PROVIDERS`, the
            preferred first; one that is not really used is an error.
        optimised: For onnx: whether ONNX Runtime may rewrite the graph before it runs it.
        offline: Never use the internet to find weights.
        cache_dir: Where downloaded weights are kept.
        artifacts: The folder of published artifacts.
        check_integrity: Whether an exported file that was altered after export is refused; what judges files runs them.

    Raises:
        BackendError: The backend or device is not available; looked at before anything else.
        UsageError: An unknown model, class or option.
        ArtifactError: The exported file is missing, foreign, damaged or altered.
        WeightsError: The weights cannot be found or do not fit.

    """
    # An exported file alone cannot be run by what needs the network.
    networks = weights is not None or not is_exported_file(model, artifacts)
    name = choose_backend(backend, device, networks=networks)
    check_precision(name, precision)
    request = _Request(
        name,
        device,
        threads,
        precision,
        providers,
        optimised,
        options or VariantOptions(),
        weights,
        offline,
        cache_dir,
        check_integrity,
    )
    path = find_exported_file(model, artifacts)
    if BACKENDS[name].needs == "onnx":
        predictor = _from_file(path or published_file(str(model), artifacts), request)
    elif path is not None:
        predictor = _from_file_and_weights(path, request)
    else:
        predictor = _from_weights(get_model(str(model)), request)
    changes = {
        "score_threshold": score_threshold,
        "iou_threshold": iou_threshold,
        "max_detections": max_detections,
        "class_agnostic": class_agnostic,
    }
    predictor.adjust(changes, classes)
    predictor.batch_size = batch_size
    return predictor


class Prepared(NamedTuple):
    """A network, and what it was built from.

    Attributes:
        checkpoint: The weights.
        plan: What they turn into.
        network: The network with its weights, as trained (nothing fused), with the outputs of the model's form.

    """

    checkpoint: Checkpoint
    plan: Plan
    network: nn.Module


def prepare_network(
    spec: ModelSpec,
    weights: str | Path | None,
    options: VariantOptions | None = None,
    *,
    seal: Seal | None = None,
    path: str | Path = "the file",
    offline: bool = False,
    cache_dir: Path | None = None,
) -> Prepared:
    """Return the network of some weights: find them, decide what they turn into, build it.

    Args:
        spec: The model.
        weights: See `cvport.models.weights.files.parse_address`.
        options: Settings that cannot be inferred from the weights; not for an exported file, whose seal has them.
        seal: The seal of an exported file: the plan is the one that the file was made by.
        path: The exported file, for messages.
        offline: Never download.
        cache_dir: Where downloads are kept.

    Raises:
        WeightsError: The weights cannot be had, do not fit, or are not those of the file.
        UsageError: An option does not fit the model.
        ArtifactError: The sealed parameters do not fit the model.

    """
    from ..models.weights.files import open_weights  # every start would pay for it, also to run a file

    checkpoint = open_weights(spec, weights, offline=offline, cache_dir=cache_dir)
    plan = spec.plan(checkpoint, options) if seal is None else _sealed_plan(spec, checkpoint, seal, path)
    network = spec.build_network(checkpoint.state, plan.variant)
    return Prepared(checkpoint, plan, spec.formed(network, plan.postprocess))


def is_exported_file(model: str | Path, artifacts: Path = ARTIFACTS) -> bool:
    """Tell whether *model* means an exported file, be it a good one or not, rather than a model."""
    try:
        return find_exported_file(model, artifacts) is not None
    except CvportError:
        return True


def find_exported_file(model: str | Path, artifacts: Path = ARTIFACTS) -> Path | None:
    """Return the exported file that *model* means, or None where it is a model's name.

    Args:
        model: The path of a file or of an artifact's folder, the name of an artifact, or a model's name. A `Path` and
            a text with a separator in it are never names.
        artifacts: The folder of published artifacts.

    Raises:
        ArtifactError: It is a file or a folder of another kind, or does not exist.
        UsageError: It is a checkpoint, or no known name.

    """
    path = _expand(model)
    if path.suffix.lower() == _SUFFIX:
        return path
    is_name = isinstance(model, str) and path.name == model
    if is_name and is_known(path.name):
        return None
    named = artifacts / path.name / f"{path.name}{_SUFFIX}"
    if is_name and named.is_file():
        return named
    if path.name and path.is_dir():
        return _in_folder(path)
    raise _no_exported_file(path, str(model), named, is_name=is_name)


def _expand(path: str | Path) -> Path:
    """Return a path with the home of ``~``, which stays where there is no such home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def _in_folder(folder: Path) -> Path:
    """Return the exported file of an artifact's folder."""
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() == _SUFFIX)
    except OSError as error:
        raise ArtifactError(f"cannot read {folder}: {error.strerror}", "Check the folder's permissions.") from error
    own = [path for path in found if path.stem == folder.name] or found
    if len(own) != 1:
        what = f"{len(own)} .onnx files ({', '.join(path.name for path in own[:5])})" if own else "no .onnx file"
        raise ArtifactError(f"the folder {folder} holds {what}", "Name the file itself: -m FILE.onnx")
    return own[0]


def _no_exported_file(path: Path, model: str, named: Path, *, is_name: bool) -> CvportError:
    """Return the error of what is neither an exported file nor a model's name."""
    from ..models.weights.checkpoint import SUFFIXES

    if path.suffix.lower() in SUFFIXES:
        return UsageError(
            f"{model} is a checkpoint, neither a model's name nor an exported file",
            f"Name its model, and give it as the weights: -m MODEL --weights {model} --backend torch. "
            f"Models: {', '.join(known_names())}.",
        )
    if path.is_file():
        return ArtifactError(f"{model} is no exported file: its name does not end with {_SUFFIX}", "Give FILE.onnx.")
    if not is_name:
        return ArtifactError(f"no such file: {model}", "Export it: cvexport MODEL")
    base = next((name for name in known_names() if model.startswith(f"{name}-")), None)
    if base is not None:
        return ArtifactError(
            f"{model} has not been exported here: there is no {named}",
            f"Export it with the options that its name stands for: cvexport {base} --help",
        )
    return UsageError(f"there is no model {model!r}", did_you_mean(model, known_names()))


def published_file(name: str, artifacts: Path = ARTIFACTS) -> Path:
    """Return the published file of a model.

    Raises:
        UsageError: There is no such model.
        ArtifactError: It has not been exported.

    """
    name = get_model(name).name
    path = artifacts / name / f"{name}{_SUFFIX}"
    if not path.is_file():
        raise ArtifactError(
            f"{name} has not been exported here: there is no {path}",
            f"Export it: cvexport {name}  (untrained, to try it out: cvexport {name} --weights seeded)",
        )
    return path


class _Request(NamedTuple):
    """What is asked for, whatever it is asked of."""

    backend: str
    device: str | None
    threads: int | None
    precision: str | None
    providers: Sequence[str] | None
    optimised: bool
    options: VariantOptions
    weights: str | Path | None
    offline: bool
    cache_dir: Path | None
    check_integrity: bool

    def open_backend(self, runnable: object, signature: Signature | None = None) -> Backend:
        """Open the backend on what it runs: a path, or a network."""
        return open_backend(
            self.backend,
            runnable,
            device=self.device,
            threads=self.threads,
            precision=self.precision,
            signature=signature,
            providers=self.providers,
            optimised=self.optimised,
        )

    def prepare(self, spec: ModelSpec, **sealed: Any) -> Prepared:  # noqa: ANN401
        """Build the network of the weights."""
        options = None if sealed else self.options
        return prepare_network(spec, self.weights, options, offline=self.offline, cache_dir=self.cache_dir, **sealed)


def _from_file(path: Path, request: _Request) -> Predictor:
    """Return a predictor of an exported file, from what is sealed in it alone."""
    if request.options != VariantOptions():
        raise UsageError(
            "the input size, preprocessing, activation and labels are fixed in an exported file",
            "Export it again with these options, or run --backend torch with --weights.",
        )
    seal, spec = _open_sealed(path)
    if request.weights is not None:
        _check_origin(seal, request.weights, path)
    backend = request.open_backend(path)
    try:
        if (backend.inputs, backend.outputs) != spec.signature:
            raise ArtifactError(f"{path} has not the inputs and outputs of {spec.name}", "Export it again.")
        if request.check_integrity:
            check_digest(path, seal)
        _, postprocess = sealed_params(spec, seal, path)
        check_layout(spec, seal, postprocess, cast("FileBackend", backend).declared, path)
        return _sealed_predictor(spec, seal, path, backend, batch=seal.batch)
    except CvportError:
        backend.close()
        raise


def _from_file_and_weights(path: Path, request: _Request) -> Predictor:
    """Return a predictor of the network that an exported file was made from, with what is sealed in the file."""
    seal, spec = _open_sealed(path)
    if request.weights is None:
        raise WeightsError(
            f"{request.backend} runs the network, not {path.name}, and needs the weights it was made from",
            f"Give them: --weights FILE ({seal.weights.get('origin')}, sha256 {seal.weights.get('sha256')})",
        )
    if request.options != VariantOptions():
        raise UsageError("the variant is fixed in an exported file", "Leave the options out, or give the model's name.")
    if request.check_integrity:
        check_digest(path, seal)
    network = request.prepare(spec, seal=seal, path=path).network
    backend = request.open_backend(spec.fuse(network), spec.signature)
    return _sealed_predictor(spec, seal, path, backend)


def _from_weights(spec: ModelSpec, request: _Request) -> Predictor:
    """Return a predictor of a network built from weights."""
    checkpoint, plan, network = request.prepare(spec)
    backend = request.open_backend(spec.fuse(network), spec.signature)
    return Predictor(
        spec,
        backend,
        plan.preprocess,
        plan.postprocess,
        plan.labels,
        untrained=checkpoint.untrained,
        assumed=plan.assumptions(),
    )


def _open_sealed(path: Path) -> tuple[Seal, ModelSpec]:
    """Return the seal of a file that this version can run, and its model."""
    seal = read_seal(path)
    return seal, sealed_model(seal, path)


def _sealed_predictor(
    spec: ModelSpec, seal: Seal, path: Path, backend: Backend, batch: str | int = "dynamic"
) -> Predictor:
    preprocess, postprocess = sealed_params(spec, seal, path)
    return Predictor(
        spec,
        backend,
        preprocess,
        postprocess,
        seal.labels,
        batch=batch,
        untrained=seal.untrained,
        seal=seal,
        file=path,
        assumed=seal.assumed,
    )


def _sealed_plan(spec: ModelSpec, checkpoint: Checkpoint, seal: Seal, path: str | Path) -> Plan:
    """Return the plan that an exported file was made by."""
    sealed = seal.weights.get("sha256")
    if checkpoint.sha256 != sealed:
        raise WeightsError(
            f"{checkpoint.origin} are not the weights that {path} was made from",
            f"Sealed sha256 {sealed}, these have {checkpoint.sha256}.",
        )
    size = None if spec.stride is None else seal.input_size
    # Of a model that offers a choice; the checkpoints of others tell it.
    activation = seal.variant.get("activation") if spec.activations else None
    plan = spec.plan(checkpoint, VariantOptions(input_size=size, activation=activation))
    preprocess, postprocess = sealed_params(spec, seal, path)
    return plan._replace(preprocess=preprocess, postprocess=postprocess, labels=seal.labels)


def _check_origin(seal: Seal, weights: str | Path, path: Path) -> None:
    """Refuse weights that the file was not made from; they would be ignored without a word."""
    from ..models.weights.checkpoint import find_checkpoint
    from ..models.weights.digest import sha256_file
    from ..models.weights.files import LocalFile, parse_address

    address = parse_address(weights)
    if isinstance(address, LocalFile):
        file = find_checkpoint(address.path, str(address))
        try:
            same = sha256_file(file) == seal.weights.get("sha256")
        except OSError as error:
            raise WeightsError(f"cannot read {file}: {error.strerror}", "Check the file's permissions.") from error
    else:
        same = str(address) == seal.weights.get("origin")
    if not same:
        raise WeightsError(
            f"{path} was made from {seal.weights.get('origin')}, not from {weights}",
            f"Export those first (cvexport {seal.model} --weights {weights}), or run --backend torch.",
        )
