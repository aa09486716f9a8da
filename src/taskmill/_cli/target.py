"""Import strings: ``module``, ``module:attribute``, ``module:factory()``; from a text to a Mill."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import stat
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, NamedTuple

from taskmill._core.wording import nearest
from taskmill.errors import ConfigurationError, TaskmillError
from taskmill.mill import Mill

_FORM = re.compile(r"(?P<module>[^:]+)(:(?P<path>[^:()]+)(?P<call>\(\))?)?")
_OWN_FILES = (__file__, importlib.__file__)
_TASKMILL = str(Path(__file__).parent.parent) + os.sep
_STANDARD_LIBRARY = str(Path(os.__file__).parent) + os.sep


def load(text: str) -> Mill:
    """The Mill that *text* names, with its tasks; without an attribute, the only one of the module.

    Raises:
        ConfigurationError: it cannot be imported, or there is no such Mill.
    """
    target = _parse(text)
    module = import_named(target.module)
    mill = _mill_in(module) if target.path is None else _mill_at(module, target)
    import_all(mill.app.imports)
    mill.app.load_imports()
    return mill


def import_all(names: Iterable[str]) -> None:
    """Import modules that define tasks."""
    for name in names:
        import_named(name)


def import_named(name: str) -> ModuleType:
    """The module of that name, which may lie in the current folder if there is none of it anywhere else.

    What goes wrong in the module itself is shown with its traceback.
    """
    _check_name(name)
    _make_findable(name.partition(".")[0])
    try:
        with _blaming(name):
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigurationError(_not_found(name)) from error


# --- the text


class _Target(NamedTuple):
    module: str
    path: str | None
    is_factory: bool


def _parse(text: str) -> _Target:
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ConfigurationError(
            f"{text!r} names no application: write module:attribute, for example shop.tasks:mill, "
            "or module:create() for a function that makes it"
        )
    return _Target(found["module"], found["path"], found["call"] is not None)


def _check_name(name: str) -> None:
    if all(part.isidentifier() for part in name.split(".")):
        return
    path = name.removesuffix(".py").strip("./").replace("/", ".")
    suggestion = f", for example {path}" if path != name and path.replace(".", "_").isidentifier() else ""
    raise ConfigurationError(f"{name!r} is no name of a module: write it as in an import{suggestion}")


# --- the module


def _make_findable(top: str) -> None:
    """Let the current folder be searched, after all else, if *top* is nowhere else."""
    folder = str(Path.cwd())
    if folder not in sys.path and not _is_findable(top) and _objection(folder) is None:
        sys.path.append(folder)
        importlib.invalidate_caches()


def _is_findable(top: str) -> bool:
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:
        return True  # it runs already, without saying where it came from
    # A folder without __init__.py, somewhere, gives way to a module of that name anywhere.
    return spec is not None and spec.origin is not None


def _objection(folder: str) -> str | None:
    """Why nothing is imported from the current folder."""
    if sys.flags.safe_path:
        return "the current folder is not searched, since PYTHONSAFEPATH (or -P) says so"
    if Path(folder).stat().st_mode & stat.S_IWOTH:
        return (
            f"the current folder {folder} is not searched, since everybody may write to it; "
            f"work in a folder of your own, or set PYTHONPATH"
        )
    return None


def _not_found(name: str) -> str:
    parent, _, last = name.rpartition(".")
    if parent in sys.modules and hasattr(sys.modules[parent], last):
        return f"{name!r} is no module: write {parent}:{last}"
    sentence = f"there is no module {name!r}{nearest(name, _modules_here())}"
    objection = _objection(str(Path.cwd()))
    return f"{sentence}: {objection or 'run this in the folder that holds it, or set PYTHONPATH'}"


def _modules_here() -> list[str]:
    try:
        entries = list(Path.cwd().iterdir())
    except OSError:
        return []
    return [entry.stem for entry in entries if entry.suffix == ".py" or (entry / "__init__.py").exists()]


# --- the Mill in it


def _mill_in(module: ModuleType) -> Mill:
    mills = _mills_of(module)
    match len(set(mills.values())):
        case 1:
            return next(iter(mills.values()))
        case 0:
            raise ConfigurationError(
                f"{_place(module)} has no Mill: write {module.__name__}:ATTRIBUTE, or "
                f"{module.__name__}:FUNCTION() for a function that makes it"
            )
        case _:
            choices = " or ".join(f"{module.__name__}:{name}" for name in mills)
            raise ConfigurationError(f"{_place(module)} has several Mills: write {choices}")


def _mill_at(module: ModuleType, target: _Target) -> Mill:
    found: Any = module
    for name in str(target.path).split("."):
        owner = found
        found = getattr(owner, name, None)
        if found is None:
            suggestion = nearest(name, _mills_of(owner) or vars(owner))
            raise ConfigurationError(f"{_place(module)} has no {target.path!r}{suggestion}")
    if target.is_factory:
        found = _made_by(found, target)
    if not isinstance(found, Mill):
        raise ConfigurationError(_no_mill(found, target))
    return found


def _made_by(factory: Any, target: _Target) -> Any:
    if not callable(factory):
        raise ConfigurationError(f"{target.module}:{target.path} is no function: leave out the ()")
    with _blaming(f"{target.module}:{target.path}()"):
        return factory()


def _no_mill(found: object, target: _Target) -> str:
    text = f"{target.module}:{target.path}"
    if callable(found) and not target.is_factory:
        return f"{text} is no Mill; if it is a function that makes one, write {text}()"
    return f"{text}{'()' if target.is_factory else ''} is no Mill, but of type {type(found).__name__}"


def _mills_of(owner: object) -> dict[str, Mill]:
    return {name: value for name, value in getattr(owner, "__dict__", {}).items() if isinstance(value, Mill)}


def _place(module: ModuleType) -> str:
    file = getattr(module, "__file__", None)
    return f"{module.__name__!r} ({file})" if file else repr(module.__name__)


# --- what goes wrong in the code of others


@contextmanager
def _blaming(name: str) -> Iterator[None]:
    """Turn what the code of *name* raises into a sentence that says where; its traceback is shown before.

    Only that the module *name* itself (or a package that it lies in) is not there is passed on.
    """
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(f"{error}{_where(error)}") from error
    except TaskmillError:
        raise
    except SystemExit as error:
        raise ConfigurationError(
            f"{name} ends the program when it is imported: put that under if __name__ == '__main__'"
        ) from error
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and _is_or_holds(error.name, name):
            raise
        traceback.print_exception(type(error), error, _frames(error))
        raise ConfigurationError(
            f"{name} cannot be imported: {type(error).__name__}: {error}{_where(error)}"
        ) from error


def _is_or_holds(missing: str | None, name: str) -> bool:
    return missing is not None and f"{name}.".startswith(f"{missing}.")


def _frames(error: BaseException) -> TracebackType | None:
    """The traceback from the first frame on that is not the machinery of the import."""
    frames = error.__traceback__
    while frames is not None and _is_machinery(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return frames


def _is_machinery(file: str) -> bool:
    return file in _OWN_FILES or file.startswith("<frozen ")


def _where(error: BaseException) -> str:
    """The last line of the application's code on the way to *error*."""
    frames = [
        frame for frame in traceback.extract_tb(_frames(error)) if _is_of_the_application(frame.filename)
    ]
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""


def _is_of_the_application(file: str) -> bool:
    is_of_python = file.startswith(_STANDARD_LIBRARY) and "site-packages" not in file
    return not is_of_python and not file.startswith(_TASKMILL)
