"""rc-bench: what a server carries on this machine."""
