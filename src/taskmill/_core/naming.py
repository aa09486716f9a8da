"""The names of modules in the store: the process that enqueues and the one that works must agree on them."""

from __future__ import annotations

import os
import sys

MAIN = "__main__"

# The second is what the script is called in a child process of multiprocessing.
SCRIPTS = frozenset({MAIN, "__mp_main__"})


def module_name(module: str) -> str:
    """What others import *module* as: `python shop.py`, `python -m shop` and `import shop` are all "shop".

    The `__main__.py` of a package goes by the name of the package. At a prompt and in a notebook it stays
    "__main__": nobody else can import what is defined there.
    """
    if module in SCRIPTS:
        return _script_name(module) or MAIN
    return module.removesuffix(f".{MAIN}")


def _script_name(module: str) -> str:
    script = sys.modules.get(module)
    spec = getattr(script, "__spec__", None)
    # Tools that run a script themselves, coverage for one, give it a spec that says no more than that.
    if spec is not None and spec.name != MAIN:
        return str(spec.name).removesuffix(f".{MAIN}")
    file = os.path.basename(getattr(script, "__file__", None) or "")  # noqa: PTH119  (pathlib costs 4 ms of the import)
    return "" if file.startswith("<") else file.removesuffix(".py")
