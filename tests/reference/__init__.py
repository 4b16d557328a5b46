"""Naive twins of the library's operations: each formula written as its loops, on NumPy arrays.

Names and arguments are those of PyTorch's functional API. Nothing here is fast, and nothing here
shares code with the library: a mistake in one is not repeated in the other. Sums are carried in
Python floats or in the array's own type, so float64 arrays give float64 answers. Only `checking`,
which draws arguments and compares, knows the library.
"""
