"""Training of rank-coded LSTMs: data, front-end, network, Algorithm 1, export. The only package that imports torch."""
