//! weir's dataplane.
