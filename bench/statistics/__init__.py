"""Statistics of scores: metrics, bootstrap intervals, tests of differences, sources of variance."""
