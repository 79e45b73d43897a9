"""Embed: one vector a track."""
