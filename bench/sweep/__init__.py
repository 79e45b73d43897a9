"""Sweeps: grids of cells, the jobs that compute them on a cluster or here, and their states."""
