"""What every page that Wherry writes shares: one file, no network, light and dark, fit to print."""
