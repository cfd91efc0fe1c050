"""Whole experiments: train, compare, keep the results, track them."""
