"""Packages the project, for Beam workers and training jobs elsewhere; pyproject.toml says what is in it."""

from setuptools import setup

setup()
