"""gRPC and REST servers in front of :class:`serving.inference.request_handler.RequestHandler`."""
