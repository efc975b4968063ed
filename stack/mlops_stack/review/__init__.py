"""Previews for reviewers: the engine's events become a plan, and the plan a page."""
