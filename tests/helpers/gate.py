"""A seeded network with its exported file and its reference, to plant faults in: the gate must see each."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cached_property

import onnx
from onnx import numpy_helper

from cvport.exporters.export import make_onnx, make_seal, verify_file
from cvport.exporters.gate.legs import LEGS, Subject
from cvport.exporters.gate.probes import built_in_cases
from cvport.exporters.gate.reference import make_reference
from cvport.exporters.graphs.trace import tool_versions
from cvport.exporters.probe import make_probe
from cvport.exporters.report.record import make_record
from cvport.runtimes.seal import KEY, content_digest_of


class Exported:
    """One network, made ready for `verify` as an export does it.

    Attributes:
        spec: The model.
        checkpoint: Its weights.
        plan: What they turn into.
        network: Built from them.
        seal: Of the file.
        onnx: The bytes of the file.
        reference: The PyTorch leg.

    """

    def __init__(self, spec, checkpoint, options=None):
        self.spec, self.checkpoint = spec, checkpoint
        self.plan = spec.plan(checkpoint, options)
        self.network = self.build()
        probe = make_probe(spec, self.plan, self.network)
        self.seal = make_seal(spec, checkpoint, self.plan, "dynamic", tool_versions(), probe=probe)
        self.onnx, self.structure, self.nodes = make_onnx(spec, self.network, self.seal, lambda _step: None)

    @cached_property
    def reference(self):
        return self.refer(self.network)

    def build(self, **state):
        """The network with some of its tensors replaced."""
        return self.spec.build_network({**self.checkpoint.state, **state}, self.plan.variant)

    def refer(self, network, *, untrained=True, preprocess=None, postprocess=None):
        """The reference of another network, or with other parameters."""
        plan = self.plan._replace(
            preprocess=replace(self.plan.preprocess, **(preprocess or {})),
            postprocess=replace(self.plan.postprocess, **(postprocess or {})),
        )
        cases = built_in_cases("dynamic", boxes=self.spec.takes_boxes)
        return make_reference(self.spec, plan, network, cases, untrained=untrained, tolerances=())

    def verify(self, folder, data=None, reference=None, network=None, legs=("torch", "onnx"), *, structure=True):
        """The content of parity.json for the file, or for another one; with the legs of these backends.

        Legs of devices run *network*, which may be another one than the reference's.
        """
        verification = self.verification(folder, data, reference, network, legs, structure=structure)
        return make_record(verification, "0" * 64, self.plan.decided_by).to_dict()

    def verification(self, folder, data=None, reference=None, network=None, legs=("torch", "onnx"), *, structure=True):
        """What `verify` records, with its images."""
        path = folder / f"{self.spec.name}.onnx"
        path.write_bytes(self.onnx if data is None else data)
        subject = Subject(reference or self.reference, network or self.network, path)
        reasons = {leg.name: "" if leg.backend in legs else "not asked for" for leg in LEGS}
        return verify_file(path, subject, self.seal, reasons, structure=self.structure if structure else None)

    def with_sealed(self, part, **changes):
        """The file with other values sealed in it."""
        model = onnx.load_from_string(self.onnx)
        (entry,) = (prop for prop in model.metadata_props if prop.key == KEY)
        content = json.loads(entry.value)
        content[part] |= changes
        entry.value = json.dumps(content)
        return model.SerializeToString(deterministic=True)

    def with_weights(self, name, change):
        """The file with one weight tensor changed."""
        model = onnx.load_from_string(self.onnx)
        (tensor,) = (tensor for tensor in model.graph.initializer if tensor.name == name)
        tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor).copy()), name))
        return with_digest(model)


def with_digest(model):
    """The bytes of a changed model, sealed with the digest that fits them."""
    (entry,) = (prop for prop in model.metadata_props if prop.key == KEY)
    content = json.loads(entry.value)
    entry.value = json.dumps(content | {"digest": content_digest_of(model.SerializeToString(deterministic=True))})
    return model.SerializeToString(deterministic=True)


def failed(record, tier):
    """The comparisons of a tier that did not pass."""
    return [entry for entry in record["comparisons"] if entry["tier"] == tier and entry["verdict"] != "passed"]


def failed_names(record, tier, key="what"):
    """What did not pass in a tier: outputs, pictures or sealed fields; or by "case", the cases."""
    return [entry[key] for entry in failed(record, tier)]
