"""The report: one static folder of pages that opens from disk, from stored results alone."""
