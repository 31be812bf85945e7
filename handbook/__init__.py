"""What the reference pages of docs/ say of the code, written by `make reference` and compared by a test."""
