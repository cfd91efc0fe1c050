"""Compare methods on the same persons: load, plan, train, compute, keep."""
