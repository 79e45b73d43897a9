"""From a spec to a stored score: one room a stage, in the order of the data."""
