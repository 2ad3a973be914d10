"""``tce theory``."""
