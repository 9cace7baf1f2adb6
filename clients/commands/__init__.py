"""The commands rc-stream and rc-listen."""
