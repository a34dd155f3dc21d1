"""Plumbing that every package shares: names of choices, options, seeds, run folders, one-line errors."""
