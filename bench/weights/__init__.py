"""Weights that come in from other projects, and encoders that go out to other people."""
