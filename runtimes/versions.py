"""The versions of what computes results."""

from __future__ import annotations

import sys

_MODULES = {"numpy": "numpy", "opencv": "cv2", "pillow": "PIL", "onnxruntime": "onnxruntime", "torch": "torch"}


def library_versions() -> dict[str, str]:
    """Return the versions of cvport and of the libraries that are in use, by name; no heavy one is imported for it."""
    import PIL  # noqa: F401  # nothing but its version; a thread that reads images may not have come to it yet

    from .. import __version__

    found = {name: getattr(sys.modules.get(module), "__version__", None) for name, module in _MODULES.items()}
    return {"cvport": __version__, **{name: str(version) for name, version in found.items() if version is not None}}
