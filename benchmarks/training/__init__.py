"""Training compared with TFX's taxi template."""
