"""Moving pictures of agents: panels side by side, and a top view."""
