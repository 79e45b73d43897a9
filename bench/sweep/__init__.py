"""Sweeps: a grid of cells, the jobs that compute them, and what has become of each.

On a cluster or on this machine.
"""
