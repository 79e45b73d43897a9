"""Other people's weights: read without running code, brought to the names of our encoders, stored as one file."""
