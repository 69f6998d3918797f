"""Building the stub of CANN."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path

_SOURCE = Path(__file__).with_name("stub_cann.c")
# The files that torch_npu's libraries are linked with or open. One holds everything, the others are links to it.
_LIBRARIES = ("ascendcl", "acl_op_compiler", "ge_runner", "graph", "acl_tdt_channel", "hccl", "opapi")
_DEFINED = re.compile(r"^(?:int|long|void|const char \*)\s*(\w+)\(", re.MULTILINE)
# CANN's functions as they stand in a library's tables: the runtime, kernels, the profiler.
_NAME = re.compile(rb"(?<=\0)(?:acl|rt|Msprof)[A-Za-z]*[A-Z]\w+(?=\0)")


def names(wheel: Path) -> set[str]:
    """Return the functions of CANN that an installed torch_npu is linked with or looks up when it runs."""
    found = set()
    for library in ("libtorch_npu.so", "libtensorpipe.so"):
        found |= set(_NAME.findall((wheel / "torch_npu/lib" / library).read_bytes()))
    return {name.decode() for name in found}


def build(folder: Path, wheel: Path, without: Collection[str] = ()) -> Path:
    """Compile the stub into *folder*, with every function that the wheel asks for but those of *without*."""
    defined = set(_DEFINED.findall(_SOURCE.read_text()))
    others = sorted(names(wheel) - defined - set(without))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "names.h").write_text("\n".join(f"SUCCEEDS({name})" for name in others))
    first, *links = (folder / f"lib{library}.so" for library in _LIBRARIES)
    gcc = shutil.which("gcc") or "gcc"
    flags = ["-shared", "-fPIC", "-D_GNU_SOURCE", f"-Wl,-soname,{first.name}", "-I", str(folder)]
    subprocess.run([gcc, *flags, "-o", str(first), str(_SOURCE), "-lpthread"], check=True, capture_output=True)
    for link in links:
        link.symlink_to(first.name)
    return folder
