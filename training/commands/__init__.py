"""The commands of rc-train, one per module; main.py lists them."""
