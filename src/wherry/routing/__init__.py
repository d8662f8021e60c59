"""Names that readers use, and leading them from one collection to another and back."""
