"""``python -m taskmill`` is the same as ``taskmill``."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    # Python puts the current folder first, where anybody's json.py would hide the real one. The command `taskmill`
    # has it last, and only if needed; so it is from here on. What was imported until now is Python's own business:
    # it has the option -P for that.
    if not sys.flags.safe_path and sys.path[:1] == [os.getcwd()]:  # noqa: PTH109  (text, as sys.path holds it)
        del sys.path[0]
    from taskmill._cli.main import main

    sys.exit(main())
