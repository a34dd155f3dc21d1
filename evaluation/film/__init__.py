"""Moving pictures of agents: panels side by side, a top view, and a writer that checks what it wrote."""
