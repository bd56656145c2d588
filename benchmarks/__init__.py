"""Recorded benchmarks: `python -m benchmarks --help`; the benchmarks themselves are in `src/backpass/bench`."""
