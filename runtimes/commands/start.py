"""Where the installed ``cvrun`` begins: objects are not looked through for garbage while modules are imported.

What is imported stays, and looking through it again and again takes a tenth of the time to the first result.
"""

from __future__ import annotations

import gc


def cvrun() -> None:
    """Run the command."""
    gc.disable()
    from .cvrun import main

    main()
