//! The bars that weir must meet and the goals that it aims for.
