"""How well a model does its task, and the searches that use it."""
