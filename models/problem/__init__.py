"""A learning problem as the YAML declares it: its task, its label and its features.

These records import nothing heavy, so settings are checked before TensorFlow is loaded. They reach
``preprocessing_fn``, ``tuner_fn`` and ``run_fn`` as ``custom_config``, which ML Metadata records.
"""
