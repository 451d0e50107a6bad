"""A server for TensorFlow SavedModels with TensorFlow Serving's API. It does not depend on TFX."""
