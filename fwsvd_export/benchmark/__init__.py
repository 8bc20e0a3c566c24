"""Latency and operations of models under a runtime."""
