"""`backpass info`: what runs here."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from .console import print_json, table

EXTRAS = {"plots": ("matplotlib", "jinja2"), "images": ("pillow",)}


def info(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Print versions, kernels, threads, extras, and the data that was found."""
    from .. import __version__, data, native

    known = {
        "backpass": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "numpy": version("numpy"),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "kernels": "native" if native.available else "off: NumPy references",
        "instruction set": native.isa,
        "threads": f"{native.threads()} of {os.cpu_count()} cores",
        **{f"extra {name}": _present(packages) for name, packages in EXTRAS.items()},
        **{f"data {one.name}": str(one.location or f"not here; {one.command}") for one in data.available()},
    }
    if as_json:
        print_json(known)
    else:
        table(["", ""], [[name, text] for name, text in known.items()])


def _present(packages: tuple[str, ...]) -> str:
    found = []
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} missing")
    return ", ".join(found)
