"""Settings: one YAML per problem, loaded into frozen dataclasses and checked."""
