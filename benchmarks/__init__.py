"""Speed measured by protocol: `python -m benchmarks --help`."""
