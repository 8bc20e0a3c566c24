"""Task data becomes padded batches."""
