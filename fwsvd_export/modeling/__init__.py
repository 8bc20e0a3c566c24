"""The model code that ships, as it is, into every compressed checkpoint; it imports nothing of this package."""
