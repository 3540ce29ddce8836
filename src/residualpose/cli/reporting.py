"""How commands speak of failure: an exit status and one line on standard error."""

from __future__ import annotations

import sys

EXIT_DATA, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130


def complain(command: str, message: object) -> None:
    """Write one line on standard error, whatever the message holds."""
    sys.stderr.write(f"residualpose {command}: {' '.join(str(message).split())}\n")
