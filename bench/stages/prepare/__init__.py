"""Prepare: a manifest and audio files become a store of samples."""
