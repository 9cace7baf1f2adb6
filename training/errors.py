"""The errors of training that a user can mend: `rc-train` prints them as one line."""


class TrainingError(Exception):
    """Data, checkpoints or options are not as training needs them; the message says what was expected and what came."""
