"""Worker processes that verify, each killed when an item takes too long."""
