//! The in-memory twin of an mbuf.

/// Placeholder until filled.
#[derive(Debug)]
pub struct VecBuf;
