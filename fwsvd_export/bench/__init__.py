"""Measuring: accuracy and latency. Nothing here draws."""
