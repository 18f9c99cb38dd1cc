//! All bounds of this room, in one block.

/// How long a question lives, its wait for others and all that it is asked again included: whoever wants the answer has
/// given up by then. A server of SSH gives a login as long (sshd_config(5), LoginGraceTime).
pub(super) const QUESTION_MILLIS: u64 = 120_000;
/// Most questions that wait while one is asked: a person answers one after the other, and not a hundred.
pub(super) const WAITING_LIMIT: usize = 16;
/// Most times that a secret is asked for in one question, where what is typed cannot be one: then nobody reads what is
/// said of it.
pub(super) const ANSWERS_LIMIT: u32 = 3;
/// Denials of one session after which it is silent for `SILENCE_MILLIS`: a person says no once, and to a mistake twice.
pub(super) const DENIALS_UNTIL_SILENCE: usize = 2;
/// How long it is silent, counted from the last denial.
pub(super) const SILENCE_MILLIS: u64 = 60_000;
/// Denials of one session after which nobody is asked for it any more, until a person lifts that.
pub(super) const DENIALS_UNTIL_BLOCK: usize = 5;
/// How long a denial counts: five that lie further apart are no flood.
pub(super) const DENIALS_MILLIS: u64 = 60 * 60_000;
/// Most sessions that are blocked at a time; one more, and the first is not. A person has a few.
pub(super) const BLOCKED_LIMIT: usize = 64;
/// Most questions of one session that are denied, unanswered or withdrawn within `REFUSALS_MILLIS`; the next is refused
/// unasked. Whoever is away is not to find a hundred.
pub(super) const REFUSALS_LIMIT: usize = 5;
/// How long one that nobody answered counts: as long as sudo remembers a yes (sudoers(5), timestamp_timeout).
pub(super) const REFUSALS_MILLIS: u64 = 5 * 60_000;
/// Most questions of all sessions that are denied, unanswered or withdrawn within `MINUTE_MILLIS`; the next is refused
/// unasked. Whoever begins a new session for each question gets no further.
pub(super) const MINUTE_LIMIT: usize = 5;
/// What the limit above is counted in.
pub(super) const MINUTE_MILLIS: u64 = 60_000;
/// Most refusals that are remembered, of all sessions: with five a minute those of most of an hour.
pub(super) const REMEMBERED_LIMIT: usize = 256;
/// Most lines of a question, each cut at 300 characters: a small terminal shows them whole.
pub(super) const LINES_LIMIT: usize = 16;
/// Most characters that a text from outside takes in a question: a fingerprint of SHA-512 is 94.
pub(super) const TEXT_LIMIT: usize = 128;
/// Longest line of Assuan in bytes, without the newline.
pub(super) const LINE_LIMIT: usize = 1000;
/// Most lines that a pinentry may say before it answers: it has a status or two to tell.
pub(super) const ASIDES_LIMIT: usize = 64;
/// The most that is read of what an askpass program prints: what OpenSSH reads.
pub(super) const OUTPUT_LIMIT: usize = 1024;
/// Most bytes of a secret that is typed: no device takes as much, and it fits in a line of Assuan and of askpass.
pub(super) const SECRET_LIMIT: usize = 256;
/// Most touches that the desktop shows at a time: nobody has more keys plugged in. Clients are told of each.
pub(super) const NOTIFICATIONS_LIMIT: usize = 4;
/// How long the desktop keeps a notification whose agent has been killed: no device waits as long for a touch.
pub(super) const NOTIFICATION_MILLIS: i32 = 60_000;
/// Longest wait for an answer of the session bus.
pub(super) const BUS_MILLIS: u64 = 3_000;
