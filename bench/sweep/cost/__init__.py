"""Estimates of what a sweep will cost in time and disk space, before it is run."""
