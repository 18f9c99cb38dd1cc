//! The room from inside.
