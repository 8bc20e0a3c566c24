"""A model in memory becomes an ONNX folder that needs none of our code, and runs from it."""
