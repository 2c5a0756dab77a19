"""Files of rows - CSV, JSONL, Parquet - read in batches, any columns, with errors that name file and line."""
