"""The hyperparameter search of the Tuner."""
