"""What training did to a model's boundary, from counts of samples."""
