"""Where data sets are looked for and kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from backpass.errors import DataNotFoundError

ENVIRONMENT = "BACKPASS_DATA"


def cache_dir() -> Path:
    """Return the folder of downloads: the user's cache folder, where `BACKPASS_DATA` names no other.

    Examples
    --------
    >>> isinstance(cache_dir(), Path)
    True
    """
    return places(None)[0]


def places(data_dir: str | os.PathLike[str] | None) -> list[Path]:
    """Return the folders to look in: `data_dir` alone if given, else `BACKPASS_DATA` and the user's cache.

    Examples
    --------
    >>> [str(place) for place in places("here")]
    ['here']
    """
    if data_dir is not None:
        return [Path(data_dir).expanduser()]
    named = os.environ.get(ENVIRONMENT)
    return ([Path(named).expanduser()] if named else []) + [_user_cache() / "backpass"]


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def not_found(name: str, looked_in: list[Path], files: str) -> DataNotFoundError:
    """Return the error that says where `name` was looked for and what to type.

    Examples
    --------
    >>> print(not_found("cifar10", [Path("here")], "cifar-10-binary.tar.gz"))
    cifar10 was not found in here. Type 'backpass data get cifar10' to download it, or put cifar-10-binary.tar.gz \
into a folder and name the folder with --data-dir (data_dir=...) or BACKPASS_DATA.
    """
    return DataNotFoundError(
        f"{name} was not found in {', '.join(map(str, looked_in))}. Type 'backpass data get {name}' to download it, "
        f"or put {files} into a folder and name the folder with --data-dir (data_dir=...) or {ENVIRONMENT}."
    )
