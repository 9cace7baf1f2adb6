"""The keyword-spotting service: audio in, labels out. Needs neither torch nor the training package."""
