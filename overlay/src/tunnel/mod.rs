//! Encapsulations: push and pop, one a file.
