//! Tables read by many workers and written by one thread.
