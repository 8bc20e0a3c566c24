"""Where work runs, how its progress is reported, and what a measurement depends on."""
