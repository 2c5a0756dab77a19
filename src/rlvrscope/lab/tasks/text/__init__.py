"""Tasks in text, for pretrained models: each one file that subclasses `TextTask`."""
