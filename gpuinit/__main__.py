"""`python -m gpuinit`: the command line."""

import sys

from gpuinit.cli import main

if __name__ == "__main__":
    sys.exit(main())
