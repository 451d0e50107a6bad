"""Functions of TensorFlow that turn raw columns into features, one module per group of kinds."""
