"""The demo: a small knowledge base of Korean health-checkup guides, and the story played on it."""
