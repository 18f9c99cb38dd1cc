//! SSH keys and what is done with them for `ssh.sock` (RFC 9987).

pub mod key;
