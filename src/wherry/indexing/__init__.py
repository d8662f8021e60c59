"""Keeping an index true to its documents."""
