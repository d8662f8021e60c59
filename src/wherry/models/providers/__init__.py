"""One file per provider; each speaks through the provider's own client, with that client's retries off."""
