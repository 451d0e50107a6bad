"""Trains a network and exports it."""
