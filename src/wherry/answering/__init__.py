"""Searching a collection, and answering from it."""
