"""Fetching the files of a data set: download, check, join and unpack."""
