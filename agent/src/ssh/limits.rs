//! Every limit of the SSH door in one place. Those of OpenSSH 10's ssh-agent are kept where it has one: a client that
//! works with it works here.

/// Bytes of a message, type byte included (OpenSSH: `AGENT_MAX_LEN`). A longer one ends the connection at its length
/// word; clients refuse a longer answer.
pub const MESSAGE: usize = 256 * 1024;

/// Identities in one answer (OpenSSH's client: `MAX_AGENT_IDENTITIES`). A client takes a longer list for a broken one.
pub const IDENTITIES: usize = 2048;

/// Keys that ssh-add may leave in memory. OpenSSH has no limit; the list of as many ed25519 keys with a comment of 60
/// characters fills half a message, and no one has as many.
pub const KEYS: usize = 1024;

/// Bytes of a comment. OpenSSH has no limit; a path fits, and 1024 keys with such comments do not outgrow a machine.
pub const COMMENT: usize = 4096;

/// Connections at once. Each that has not sent a whole message costs a buffer as long as what it sent.
pub const CONNECTIONS: usize = 256;

/// Session bindings of a connection (OpenSSH: `AGENT_MAX_SESSION_IDS`): as many hops as a forwarded agent may be away.
pub const BINDINGS: usize = 16;

/// Bytes of a session identifier (OpenSSH: `AGENT_MAX_SID_LEN`): twice the longest hash that a key exchange has.
pub const SESSION_ID: usize = 128;

/// Destination constraints of a key (OpenSSH: `AGENT_MAX_DEST_CONSTRAINTS`).
pub const DESTINATIONS: usize = 1024;

/// Bytes of a constraint's user pattern (OpenSSH): matching takes time by its length.
pub const USER_PATTERN: usize = 256;

/// Bytes of a constraint's host name (`NI_MAXHOST` of the resolver): matching takes time by its length.
pub const HOST_NAME: usize = 1025;

/// Bytes of a public key or certificate that is read. A certificate may name a certificate as its authority, and that
/// one another: ssh-key reads them by recursion, and a message full of them would end the stack and the program with it.
/// So many bytes need half of a thread's 2 MiB at the most, and hold RSA of 16384 bits with hundreds of names.
pub const PUBLIC_KEY: usize = 32 * 1024;
