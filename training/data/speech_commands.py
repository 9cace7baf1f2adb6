"""What is particular to Speech Commands: its usual keywords, and the words that are measured separately."""

KEYWORDS = ("yes", "no", "up", "down", "left", "right", "go", "stop")
SEPARATE_WORDS = frozenset({"on", "off"})  # too few clips for keywords, too like them for other words
