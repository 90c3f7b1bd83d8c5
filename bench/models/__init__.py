"""Generators of the benchmark models; see generate.py."""
