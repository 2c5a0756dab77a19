"""Charts and files of the dynamics' studies."""
