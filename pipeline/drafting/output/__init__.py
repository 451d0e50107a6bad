"""What a draft writes: settings, a schema, and a summary of the choices."""
