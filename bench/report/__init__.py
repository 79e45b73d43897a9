"""Tables and comparisons, from stored results alone."""
