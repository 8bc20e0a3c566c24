"""A model in memory becomes an ONNX folder that needs none of our code, and runs from it."""

OPSETS = range(17, 21)  # 17 has LayerNormalization as one node; torch's tracing exporter ends at 20
