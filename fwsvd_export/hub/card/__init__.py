"""The model card: facts of a folder and what was measured become Markdown."""
