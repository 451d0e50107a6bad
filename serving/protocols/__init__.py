"""gRPC and REST: from the wire to calls of ``serving.inference.methods``, and back."""
