"""Tables (CSV, JSONL, Parquet) read in batches of columns, with errors that name file and row."""
