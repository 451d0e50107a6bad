"""Features, the Transform graph, the network, training, tuning and signatures."""
