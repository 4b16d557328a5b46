"""Arrays in, arrays out: the arithmetic under the operations, without gradients.

Every function takes the array library first, as `xp`, and works on NumPy's and CuPy's arrays alike.
"""
