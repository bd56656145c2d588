"""The system of CS231n's assignment 2 under its own names, over the layers of backpass.

    import backpass.cs231n
    backpass.cs231n.install()            # in a program or notebook: `cs231n` is backpass.cs231n from here on
    from cs231n.layers import *
    from cs231n.classifiers.fc_net import FullyConnectedNet

or, once beside a notebook, `backpass cs231n link DIR`.  Nothing happens on import.
"""

from __future__ import annotations

from .links import install, link, uninstall, unlink

__all__ = ["install", "link", "uninstall", "unlink"]
