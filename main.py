"""The original tool's command: see docs/original.md."""

import sys

from residualpose.original import main

if __name__ == "__main__":
    sys.exit(main())
