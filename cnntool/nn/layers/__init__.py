"""Layers that compute, a family a module; :mod:`table` says which class a word stands for.

A class reads its settings once and calls :mod:`cnntool.ops`: formulas stand there, names of
parameters and the way of the gradients here.
"""
