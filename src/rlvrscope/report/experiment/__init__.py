"""What an experiment in the lab showed."""
