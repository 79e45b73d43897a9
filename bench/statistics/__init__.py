"""Tests and models over scores: paired differences, ranks, multiple comparisons, power, sources of variance."""
