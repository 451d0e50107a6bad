"""Training: input, steps, checkpoints and the export of the model."""
