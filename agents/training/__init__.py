"""How an agent is trained: options of a run, and the loop that plays, learns, logs and saves."""
