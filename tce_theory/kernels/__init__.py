"""Numba kernels: arrays and scalars in, arrays out; no validation, no policy, no input or output."""
