"""Pointing notebooks at backpass: `import cs231n` in this process, or a small package of imports beside a notebook."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from ..errors import ArgumentError

NAME = "cs231n"
MODULES = (
    "layers",
    "layer_utils",
    "fast_layers",
    "im2col",
    "im2col_cython",
    "image_utils",
    "optim",
    "solver",
    "gradient_check",
    "data_utils",
    "vis_utils",
    "classifiers",
    "classifiers.fc_net",
    "classifiers.cnn",
)
# Notebooks take the layers out of these two; they have to be those beside the notebook, which may be a learner's own.
BESIDE = {
    "classifiers.fc_net": ("..layers", "..layer_utils"),
    "classifiers.cnn": ("..layers", "..fast_layers", "..layer_utils"),
}
MARK = "# Written by `backpass cs231n link`; `backpass cs231n unlink` removes it."


def install() -> None:
    """Let `import cs231n` mean `backpass.cs231n` in this process.

    Raises
    ------
    ArgumentError
        If another package of that name is imported already; it is left alone.

    Examples
    --------
    >>> install()
    >>> from cs231n.layers import affine_forward
    >>> affine_forward.__module__
    'backpass.cs231n.layers'
    >>> uninstall()
    """
    ours = {NAME: importlib.import_module(__package__ or "")}
    ours |= {f"{NAME}.{name}": importlib.import_module(f"{__package__}.{name}") for name in MODULES}
    for name, module in sys.modules.items():
        if (name == NAME or name.startswith(NAME + ".")) and module is not ours.get(name):
            raise ArgumentError(
                f"install: a package cs231n is imported already, from {getattr(module, '__file__', None)}; "
                "restart the kernel (and start it elsewhere), or use backpass.cs231n under its own name"
            )
    sys.modules.update(ours)


def uninstall() -> None:
    """Take back what `install` did; `import cs231n` finds what it would have found without.

    Examples
    --------
    See `install`.
    """
    for name in [name for name in sys.modules if name == NAME or name.startswith(NAME + ".")]:
        if sys.modules[name].__name__.startswith("backpass."):
            del sys.modules[name]


def _texts() -> dict[str, str]:
    """Return the files of a linked package, by path under cs231n/."""
    found = {"__init__.py": MARK + "\n"}
    for name in MODULES:
        path = name.replace(".", "/") + (".py" if name != "classifiers" else "/__init__.py")
        stars = [f"backpass.cs231n.{name}", *BESIDE.get(name, ())] if name != "classifiers" else []
        found[path] = f"{MARK}\n" + "".join(f"from {module} import *  # noqa: F403\n" for module in stars)
    return found


def link(folder: str | Path, *, keep: bool = False) -> list[Path]:
    """Write a package `cs231n` of imports into a folder, beside a notebook; return the files written.

    Parameters
    ----------
    folder : str or Path
        Where the notebook lies.
    keep : bool
        True leaves files that are there as they are (a learner's own layers.py, say) and writes the others.

    Raises
    ------
    ArgumentError
        If there is a file that `link` did not write, and `keep` is False; nothing is written then.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = link(folder)
    ...     removed = unlink(folder)
    >>> len(written) == len(removed)
    True
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ArgumentError(f"link: expected a folder, got {folder}")
    texts = {folder / NAME / path: text for path, text in _texts().items()}
    foreign = [path for path in texts if path.exists() and not _is_ours(path)]
    if foreign and not keep:
        raise ArgumentError(
            f"link: {foreign[0]} is there and was not written by link; nothing is overwritten. Keep your own files and add "
            "the missing ones with --keep, or link another folder"
        )
    wanted = {path: text for path, text in texts.items() if path not in foreign}
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(wanted)


def unlink(folder: str | Path) -> list[Path]:
    """Remove the files that `link` wrote, and folders that are empty then; return the files removed.

    Examples
    --------
    See `link`.
    """
    root = Path(folder) / NAME
    removed = [path for path in (root / name for name in _texts()) if path.exists() and _is_ours(path)]
    for path in removed:
        path.unlink()
        for cached in (path.parent / "__pycache__").glob(path.stem + ".*.pyc"):
            cached.unlink()
    for emptied in (root / "classifiers/__pycache__", root / "classifiers", root / "__pycache__", root):
        if emptied.is_dir() and not any(emptied.iterdir()):
            emptied.rmdir()
    return removed


def _is_ours(path: Path) -> bool:
    text = path.read_text(encoding="utf-8", errors="replace")
    return text == _texts().get(path.relative_to(_root(path)).as_posix())


def _root(path: Path) -> Path:
    return path.parent.parent if path.parent.name == "classifiers" else path.parent
