"""The contract that every layer keeps (DESIGN section 5), the zoo of layers that break it, and independent values."""
