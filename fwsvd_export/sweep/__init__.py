"""Many compressions of one model: which, what became of each, and what was measured."""
