"""Weightings, square roots and truncated decompositions."""
