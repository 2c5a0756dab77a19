"""verl: our objectives as a plug-in, its configuration from a recipe, and checks before a run."""
