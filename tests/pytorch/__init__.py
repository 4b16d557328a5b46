"""Comparisons with PyTorch 2.13: values, gradients, running statistics, optimisers' trajectories.

cases/           what is compared: a function of ``(F, *tensors)`` and the inputs it is given
running.py       runs one case: outputs, gradients, gradients of gradients
comparing.py     runs it with PyTorch too and compares
test_torch_*.py  the tests; skipped where PyTorch is not installed
make_values.py   writes values.json, which ``tests/test_stored_values.py`` reads in its stead
"""
