//! How any program talks to the agent: blocking, std only.
