"""Options, output, errors and progress shared by the commands."""
