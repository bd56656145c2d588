"""What an optimizer is: hyperparameters, a NumPy reference, and a kernel that makes one pass over the flat vectors.

An optimizer object is a frozen dataclass and owns no array.  `slots` names the state vectors that it needs, each as
long as the parameters; the trainer allocates them by `new_slots`, and hands slices of all vectors to `kernel` once.
What changes from step to step is read at run time from `control`, a float64 array of four numbers:

    control[LR]      the learning rate of this step, before a group's lr_scale
    control[T]       the number of this step, 1 for the first
    control[FACTOR]  what the gradient is multiplied by first: 1, or less when it is clipped
    control[BAD]     set to 1 by whoever meets NaN or infinity; nobody sets it back to 0 but the trainer
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np

from ..arena import aligned_vector
from ..errors import ArgumentError
from ..layers.base import Array, Call, is_number, require

LR, T, FACTOR, BAD = range(4)
GROUPS = ("weight", "bias", "gamma", "beta")
MOST_LR = 1e3

Options = dict[str, float]
Groups = tuple[tuple[str, tuple[tuple[str, float], ...]], ...]


class Optimizer:
    """The base of every optimizer; a subclass is a frozen dataclass and is registered by its name.

    A subclass has the fields `lr` and `groups` besides its own, names its state vectors in `slots`, and gives `update`
    (the reference: new arrays from old ones) and, where speed matters, `kernel` (the same in one pass, in place).
    """

    registry: ClassVar[dict[str, type[Optimizer]]] = {}
    slots: ClassVar[tuple[str, ...]] = ()
    lr: float
    groups: Any

    def __init_subclass__(cls) -> None:
        Optimizer.registry[cls.__name__] = cls

    def __post_init__(self) -> None:
        require(
            is_number(self.lr) and 0 < self.lr <= MOST_LR,
            self,
            "lr",
            f"a learning rate in (0, {MOST_LR:g}]",
            self.lr,
        )
        object.__setattr__(self, "groups", self._checked_groups())

    # -- what a subclass says ---------------------------------------------------------------------------------------

    def update(self, w: Array, dw: Array, *slots: Array, lr: float, t: float, options: Options) -> tuple[Array, ...]:
        """Return the new parameters and the new state vectors, in the order of `slots`; `lr` includes lr_scale."""
        raise TypeError(f"{type(self).__name__} must define update(w, dw, *slots, lr, t, options)")

    def kernel(self, w: Array, dw: Array, slots: Mapping[str, Array], control: Array, options: Options) -> Call:
        """Return a bound call that makes a step on one contiguous slice of the flat vectors, in place.

        Parameters
        ----------
        w, dw : array (n,)
            Parameters and their gradient, float32 or float64; dw is only read.
        slots : mapping of array (n,)
            The slices of the state vectors, by name.
        control : array (4,) of float64
            Read, and `control[BAD]` written, when the call runs.
        options : dict
            What `options(group)` returned for the slice's group.
        """
        return partial(self.reference_step, w, dw, slots, control, options)

    # -- what all share ---------------------------------------------------------------------------------------------

    def options(self, group: str) -> Options:
        """Return the options in force for a group of parameters.

        Parameters
        ----------
        group : {"weight", "bias", "gamma", "beta"}

        Returns
        -------
        dict
            `lr_scale`, which multiplies the learning rate, and `weight_decay` (0 but for AdamW).

        Raises
        ------
        ArgumentError
            If there is no such group.

        Examples
        --------
        >>> from backpass.optim import AdamW
        >>> AdamW(weight_decay=0.1, groups={"bias": {"lr_scale": 2.0}}).options("bias")
        {'lr_scale': 2.0, 'weight_decay': 0.0}
        """
        require(group in GROUPS, self, "group", f"one of {', '.join(GROUPS)}", group)
        decay = getattr(self, "weight_decay", 0.0) if group == "weight" else 0.0
        return {"lr_scale": 1.0, "weight_decay": float(decay)} | dict(dict(self.groups).get(group, ()))

    def new_slots(self, params: Array) -> dict[str, Array]:
        """Return the state vectors for `params`, by name: zeros, laid in memory where the kernel is fastest.

        Examples
        --------
        >>> from backpass.optim import Adam
        >>> {name: slot.shape for name, slot in Adam().new_slots(np.zeros(5)).items()}
        {'m': (5,), 'v': (5,)}
        """
        return {name: aligned_vector(params.size, params.dtype, 2 + i) for i, name in enumerate(self.slots)}

    def reference_step(self, w: Array, dw: Array, slots: Mapping[str, Array], control: Array, options: Options) -> None:
        """Do in NumPy what the call of `kernel` does: change `w` and `slots` in place.

        Examples
        --------
        >>> from backpass.optim import SGD
        >>> w = np.array([1.0, 2.0])
        >>> SGD().reference_step(w, np.array([10.0, 0.0]), {}, np.array([0.01, 1, 1, 0]), SGD().options("weight"))
        >>> w
        array([0.9, 2. ])
        """
        old = [slots[name] for name in self.slots]
        lr, factor = float(control[LR]) * options["lr_scale"], float(control[FACTOR])
        with np.errstate(all="ignore"):  # what is not finite is reported through control
            new = self.update(w, dw * factor, *old, lr=lr, t=float(control[T]), options=options)
        for into, value in zip((w, *old), new, strict=True):
            into[...] = value
            if not np.isfinite(value).all():
                control[BAD] = 1

    def _checked_groups(self) -> Groups:
        """Return the given groups as sorted tuples: hashable, and equal if they mean the same."""
        try:
            given = {name: dict(options) for name, options in dict(self.groups or {}).items()}
        except (TypeError, ValueError):
            raise ArgumentError(
                f"{type(self).__name__}: groups: expected a dict such as {{'bias': {{'lr_scale': 2.0}}}}, got {self.groups!r}"
            ) from None
        known = ("lr_scale", "weight_decay") if hasattr(self, "weight_decay") else ("lr_scale",)
        for name, options in given.items():
            require(name in GROUPS, self, "groups", f"groups among {', '.join(GROUPS)}", name)
            for option, value in options.items():
                hint = "; AdamW decays weights, and Trainer(reg=...) adds L2" if option == "weight_decay" else ""
                require(option in known, self, f"groups[{name!r}]", f"options among {', '.join(known)}{hint}", option)
                fits = is_number(value) and 0 <= value <= 1e6
                require(fits, self, f"groups[{name!r}][{option!r}]", "a number in [0, 1e6]", value)
        return tuple(sorted((name, tuple(sorted(options.items()))) for name, options in given.items()))


def require_fraction(owner: object, name: str) -> None:
    """Raise ArgumentError unless the field is a number in [0, 1)."""
    value = getattr(owner, name)
    require(is_number(value) and 0 <= value < 1, owner, name, "a number in [0, 1)", value)


def require_positive(owner: object, name: str) -> None:
    """Raise ArgumentError unless the field is a finite number above 0."""
    value = getattr(owner, name)
    require(is_number(value) and value > 0, owner, name, "a finite number > 0", value)
