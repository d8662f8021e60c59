"""Asking two sides the same questions: recall, overlap, drift, time, memory, disk and cost, with intervals."""
