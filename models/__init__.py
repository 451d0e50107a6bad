"""The model's side of the pipeline: features, the Transform graph, the network, training and signatures."""
