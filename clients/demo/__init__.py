"""The demo: a recording by synthetic voices, the script that made it, and `make demo` which streams it."""
