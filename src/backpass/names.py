"""Find a class by the name that a command line or a configuration file gives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from .errors import ArgumentError

T = TypeVar("T")


def build(kind: str, table: Mapping[str, type[T]], name: str, options: Mapping[str, Any]) -> T:
    """Return `table[name](**options)`; a wrong name or option is an error that lists the right ones.

    Parameters
    ----------
    kind : str
        What the table holds, for the message.
    table : mapping of str to class
        The classes are dataclasses.
    name : str
    options : mapping of str

    Raises
    ------
    ArgumentError
        If there is no such name, or the class has no such option, or lacks one.

    Examples
    --------
    >>> from backpass.optim import SGD
    >>> build("optimizer", {"sgd": SGD}, "sgd", {"lr": 0.5}).lr
    0.5
    """
    if name not in table:
        raise ArgumentError(f"{kind}: expected one of {', '.join(sorted(table))}, got {name!r}")
    known = [f.name for f in fields(table[name])]  # type: ignore[arg-type]
    for option in options:
        if option not in known:
            raise ArgumentError(f"{kind} {name}: expected options among {', '.join(known) or 'none'}, got {option!r}")
    try:
        return table[name](**options)
    except TypeError as error:  # an option without a default is missing
        raise ArgumentError(f"{kind} {name}: {str(error).partition('__init__() ')[2] or error}") from None
