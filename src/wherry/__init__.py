"""Wherry: move a RAG collection between vector stores, and prove that nothing was lost."""
