"""Figures from stored results alone: matplotlib and seaborn, the same bytes for the same numbers."""
