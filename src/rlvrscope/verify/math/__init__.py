"""Mathematical answers: read, compared, and the rest left to computer algebra."""
