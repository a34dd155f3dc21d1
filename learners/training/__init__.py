"""The training loop, shared by all learners: optimisers, devices, precision, logging and files."""
