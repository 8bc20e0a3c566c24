"""Files: atomic output, JSON, digests and names."""
