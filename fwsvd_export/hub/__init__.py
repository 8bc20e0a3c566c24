"""A model in memory becomes a folder that other people load."""
