"""Downloads: files fetched, checked and unpacked."""
