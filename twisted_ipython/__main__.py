"""``python -m twisted_ipython``: the same as ``twisted-ipython``."""

import sys

from .console.command_line import main

if __name__ == "__main__":
    sys.exit(main())
