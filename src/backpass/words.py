"""Numbers as people write them, the same in the progress display, the report and the command line."""

from __future__ import annotations

import dataclasses
import math


def percent(fraction: float, digits: int = 1) -> str:
    """Return a fraction as a percentage; one that is almost 1 or 0 is never rounded to 100 % or 0 %.

    Examples
    --------
    >>> percent(0.9833), percent(1.0), percent(0.99999)
    ('98.3 %', '100 %', '99.9 %')
    """
    if fraction in (0.0, 1.0):
        return f"{100 * fraction:.0f} %"
    least = 10.0**-digits
    return f"{min(max(100 * fraction, least), 100 - least):.{digits}f} %"


def duration(seconds: float) -> str:
    """Return a time that passes in the units that suit it.

    Examples
    --------
    >>> duration(0.25), duration(4.2), duration(75), duration(3 * 3600 + 120), duration(math.nan)
    ('0.2 s', '4.2 s', '1 min 15 s', '3 h 02 min', '?')
    """
    if not math.isfinite(seconds):
        return "?"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes_left:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def count(number: float, thing: str) -> str:
    """Return a number of things, in the plural unless it is one.

    Examples
    --------
    >>> count(1, "epoch"), count(49000, "picture")
    ('1 epoch', '49,000 pictures')
    """
    return f"{number:,.0f} {thing}{'' if number == 1 else 's'}"


def about(value: float) -> str:
    """Return a number in four significant digits, without an exponent where it is of a handy size.

    Examples
    --------
    >>> about(0.031249), about(2.0e-5), about(12.3456)
    ('0.03125', '2e-05', '12.35')
    """
    return f"{value:.4g}"


def metric(name: str, value: float) -> str:
    """Return the value of a column of the history: accuracies in percent, losses as numbers.

    Examples
    --------
    >>> metric("val_accuracy", 0.985), metric("val_loss", 0.0712)
    ('98.5 %', '0.0712')
    """
    return percent(value) if name.endswith("accuracy") else about(value)


def brief(value: object) -> str:
    """Return a dataclass as one would write it: without the fields that have their default.

    Examples
    --------
    >>> import backpass as bp
    >>> brief(bp.Adam(lr=0.01)), brief(bp.ReLU())
    ('Adam(lr=0.01)', 'ReLU()')
    """
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return repr(value)
    told = []
    for field in dataclasses.fields(value):
        given, factory = getattr(value, field.name), field.default_factory
        default = factory() if factory is not dataclasses.MISSING else field.default
        if given != default and given != ():  # an empty tuple is how "nothing given" is kept
            told.append(f"{field.name}={brief(given)}")
    return f"{type(value).__name__}({', '.join(told)})"


def label(name: str) -> str:
    """Return the name of a column of the history in words.

    Examples
    --------
    >>> label("val_accuracy"), label("train_loss")
    ('validation accuracy', 'training loss')
    """
    first, _, rest = name.partition("_")
    return f"{ {'val': 'validation', 'train': 'training'}.get(first, first) } {rest}".strip()
