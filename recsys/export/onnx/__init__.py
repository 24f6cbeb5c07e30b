"""From a torch module to an ONNX graph, for every task."""
