"""Complete runs compared with TFX's taxi template."""
