"""``python -m fuzz [TARGET ..] --seconds 60 -o FOLDER`` fuzzes targets, all by default; ``--replay FILE`` runs one.

With atheris installed (extra `fuzz`) coverage guides the choice of inputs; without it, or with ``--plain``, good inputs
are changed at random. A study can be stopped and continued: the folder keeps inputs, counts and findings.
"""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import click

from fuzz.judging import SECONDS, judge, limit_memory
from fuzz.study import Study
from fuzz.targets import TARGETS, get_target

_LARGEST = 1 << 17
_MOST_MEGABYTES = 8000


def run_plain(study: Study, seconds: float, log: Path) -> None:
    """Change seeds at random until the time is over."""
    limit_memory()
    with log.open("ab") as file:  # libtiff writes to the file descriptor itself
        os.dup2(file.fileno(), sys.stderr.fileno())
    known = study.target.seeds()
    rng = random.Random(study.inputs)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        study.try_input(study.target.mutate(rng.choice(known), rng))
    study.save()


def run_guided(name: str, folder: Path, seconds: float) -> None:
    """Let libFuzzer run until the time is over; it ends early where an input ends its process."""
    end = time.monotonic() + seconds
    while (left := int(end - time.monotonic())) > 0:
        limits = (f"-timeout={4 * SECONDS}", f"-rss_limit_mb={_MOST_MEGABYTES}", f"-max_len={_LARGEST}")
        command = [sys.executable, "-m", "fuzz.guided", name, str(folder), f"-max_total_time={left}", *limits]
        with (folder / f"{name}.log").open("ab") as log:
            done = subprocess.run(command, stdout=log, stderr=log, check=False)
        if done.returncode not in (0, 70, 77):  # 70 and 77: a timeout, a crash or too much memory
            raise click.ClickException(f"libFuzzer ended with {done.returncode}, see {folder / name}.log")


def report(study: Study) -> bool:
    """Print the counts of a target; tell whether anything was found."""
    rate = study.inputs / max(study.seconds, 1e-9)
    stopped = [path for path in study.findings.iterdir() if path.name.startswith(("timeout-", "oom-", "crash-"))]
    print(f"{study.findings.name:12} {study.inputs:10,} inputs, {rate:8,.0f} a second, {len(study.found)} findings")
    for key, count in sorted(study.found.items(), key=lambda entry: -entry[1]):
        print(f"    {count:8,} x {key}")
    for path in stopped:
        print(f"    ended its process: {path}")
    return bool(study.found or stopped)


def replay(name: str, path: Path) -> None:
    """Run one input, and print what is wrong with the outcome."""
    finding = judge(get_target(name), path.read_bytes())
    print("right: accepted, or refused with the proper exit code" if finding is None else finding.text)
    sys.exit(finding is not None)


@click.command(help=__doc__)
@click.argument("names", nargs=-1, metavar="[TARGET ..]", type=click.Choice(list(TARGETS)))
@click.option("--seconds", default=60.0, show_default=True, help="Time for each target.")
@click.option("-o", "--output", "folder", default="fuzz", show_default=True, type=click.Path(path_type=Path))
@click.option("--plain", is_flag=True, help="Without atheris.")
@click.option("--replay", "file", type=click.Path(path_type=Path, exists=True), help="Run this input of the target.")
def main(*, names: tuple[str, ...], seconds: float, folder: Path, plain: bool, file: Path | None) -> None:
    """Fuzz targets one after the other."""
    if file is not None:
        if len(names) != 1:
            raise click.UsageError("--replay takes one target")
        replay(names[0], file)
    guided = not plain and importlib.util.find_spec("atheris") is not None
    found = False
    for name in names or TARGETS:
        folder.mkdir(parents=True, exist_ok=True)
        if guided:
            run_guided(name, folder, seconds)
        else:
            run_plain(Study(name, get_target(name), folder), seconds, folder / f"{name}.log")
        found |= report(Study(name, get_target(name), folder))
    sys.exit(found)


if __name__ == "__main__":
    main()
