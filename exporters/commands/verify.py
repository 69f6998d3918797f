"""``cvexport verify``: check an artifact as a whole."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ...errors import ArtifactError
from ...runtimes.commands.options import SETTINGS
from ..verify import SCHEMA_VERSION, verify_path
from .options import json_option

_EXAMPLES = """\b
Examples:
  cvexport verify artifacts/yolox
  cvexport verify artifacts/yolox/yolox.onnx --json
  cvexport verify capture.npz --public-key public.pem
"""


@click.command("verify", epilog=_EXAMPLES, context_settings=SETTINGS)
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--public-key", type=click.Path(path_type=Path), help="Check the signature with this Ed25519 key too, PEM."
)
@json_option
def verify_command(*, path: Path, public_key: Path | None, as_json: bool) -> None:
    """Check an artifact, offline: its sums, seal, graph, record and bill of materials fit each other; or a capture.

    Exit code 4 if anything does not fit. Sums are no proof of origin: who can change a file can make new ones. A
    signature is (cvexport sign), if the public key came to you in another way than the artifact.
    """
    checks = verify_path(path, public_key)
    if as_json:
        content = {
            "schema_version": SCHEMA_VERSION,
            "verdict": "failed" if any(check.problems for check in checks) else "passed",
            "checks": [{"name": check.name, "problems": list(check.problems)} for check in checks],
        }
        click.echo(json.dumps(content, indent=1))
    else:
        for check in checks:
            click.echo(f"{check.name:8} {'; '.join(check.problems) or 'fits'}")
    failed = [check.name for check in checks if check.problems]
    if failed:
        raise ArtifactError(f"{path} does not fit together: {', '.join(failed)}", "Copy it again, or export it again.")
