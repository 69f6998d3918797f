"""Run a command of cvport on simulated Ascend devices.

python tests/npu_sim/run.py [--devices N] [--soc NAME] [--memory GIB] cvrun --backend npu --weights seeded image.jpg
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

COMMANDS = {"cvrun": "cvport.runtimes.commands.cvrun", "cvexport": "cvport.exporters.commands.cvexport"}


def main() -> None:
    parser = argparse.ArgumentParser(description="Run a command of cvport on simulated Ascend devices.")
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--soc", default="Ascend910B3")
    parser.add_argument("--memory", type=float, default=32, metavar="GIB")
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    npu_sim = importlib.import_module("npu_sim")
    print("note: the Ascend NPU is simulated", file=sys.stderr)
    sys.argv = [options.command, *options.arguments]
    with npu_sim.plug_in(devices=options.devices, soc=options.soc, memory=int(options.memory * npu_sim.GIB)):
        importlib.import_module(COMMANDS[options.command]).main()


if __name__ == "__main__":
    main()
