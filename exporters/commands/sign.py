"""``cvexport sign``: say who made an artifact or a capture."""

from __future__ import annotations

from pathlib import Path

import click

from ...runtimes.commands.options import SETTINGS
from ..gate.capture_file import Capture
from ..signing import is_capture, sign
from ..verify import require_whole

_EXAMPLES = """\b
Examples:
  openssl genpkey -algorithm ed25519 -out key.pem
  openssl pkey -in key.pem -pubout -out public.pem
  cvexport sign artifacts/yolox --key key.pem
  cvexport verify artifacts/yolox --public-key public.pem
"""


@click.command("sign", epilog=_EXAMPLES, context_settings=SETTINGS)
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--key", type=click.Path(path_type=Path), required=True, help="Ed25519 private key, PEM, not encrypted.")
def sign_command(*, path: Path, key: Path) -> None:
    """Sign the sums of an artifact, or a capture, once it was seen that it fits together.

    Writes SHA256SUMS.sig, or FILE.npz.sig. What is published anew or completed later has to be signed again.
    """
    if is_capture(path):
        Capture.read(path)
    else:
        require_whole(path)
    click.echo(f"signed: {sign(path, key)}")
