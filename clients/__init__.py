"""Commands and a small library that talk to a running server over its WebSocket."""
