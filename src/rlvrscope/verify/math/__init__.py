"""Reading and comparison of mathematical answers; hard cases are left to computer algebra."""
