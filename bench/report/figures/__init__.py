"""Figures from stored results alone, the same bytes for the same numbers."""
