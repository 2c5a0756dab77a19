"""Worker processes that verify what is slow or may hang."""
