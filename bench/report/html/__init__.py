"""The HTML report: a folder of static pages that opens from disk, from stored results alone."""
