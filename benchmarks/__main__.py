"""Run benchmarks: `python -m benchmarks [NAME] [options]`; without a name, all of them one after another."""

from __future__ import annotations

import sys

from . import harness

NAMES = ("matrix_product", "training_step", "conv", "cs231n")

if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in ("-h", "--help"):
        print(f"{__doc__}\nNames: {', '.join(NAMES)}. Options: python -m benchmarks NAME --help")
    elif len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        if sys.argv[1] not in NAMES:
            raise SystemExit(f"expected one of {', '.join(NAMES)}, got {sys.argv[1]}")
        harness.main(sys.argv[1], sys.argv[2:])
    else:
        for name in NAMES:
            harness.main(name, sys.argv[1:])
