"""Specs, recipes and how flags become specs; nothing heavy is imported here."""
