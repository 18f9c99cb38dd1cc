//! What can go wrong with the vault and the state beside it.

use std::io;

/// Why the vault or the state could not do what was asked. Never holds a byte of either.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no vault file.
    #[error("there is no vault")]
    Absent,
    /// There is no such backup.
    #[error("there is no such file")]
    BackupAbsent,
    /// The file to restore is no vault, or a damaged one.
    #[error("the file is no vault, or a damaged one")]
    BackupDamaged,
    /// There is a file where the backup should be.
    #[error("there is a file of that name already")]
    BackupExists,
    /// The file to restore could not be read.
    #[error("the file cannot be read")]
    BackupUnreadable {
        /// What the disk said.
        source: io::Error,
    },
    /// The backup could not be written, and is not there.
    #[error("the backup cannot be written")]
    BackupUnsaved {
        /// What the disk said.
        source: io::Error,
    },
    /// The file on disk is not the one that was opened; nothing was written.
    #[error("another program has changed the vault since it was opened")]
    ChangedOnDisk,
    /// A slot was removed and the vault is saved under a new key, but copies made before could not be deleted.
    /// The next save and the next open try again.
    #[error("the slot is removed, but older copies of the vault that it opens could not be deleted")]
    CopiesLeft {
        /// What the disk said.
        source: io::Error,
    },
    /// The file is not what this vault wrote; it was left untouched.
    #[error("the vault is damaged; it was left untouched")]
    Damaged,
    /// There is a vault already.
    #[error("there is a vault already")]
    Exists,
    /// The work was cut off before it was done.
    #[error("the work was interrupted")]
    Interrupted,
    /// Without this slot no passphrase and no recovery code would open the vault.
    #[error("the last slot that a person can open cannot be removed")]
    LastSlot,
    /// Without this slot only devices would open the vault, and they get lost.
    #[error("without this slot only devices would open the vault")]
    OnlyDevices,
    /// The vault is closed.
    #[error("the vault is locked")]
    Locked,
    /// The file needs a newer claviger; it was left untouched.
    #[error("the vault was written by a newer claviger; it was left untouched")]
    Newer,
    /// The kernel gave no randomness.
    #[error("the system gives no randomness")]
    NoEntropy {
        /// What the kernel said.
        source: io::Error,
    },
    /// Argon2id needs more memory than this process may take.
    #[error("there is not enough memory to derive a key from the passphrase")]
    NoMemory,
    /// What is restored has no passphrase slot, and none was given.
    #[error("the backup opens with its recovery code alone: a new passphrase is needed")]
    PassphraseNeeded,
    /// The vault is an older version than one that is remembered: until that is accepted nothing in it is changed, and
    /// no long-lived secret of it used.
    #[error("the vault is an older one: save {found}, where save {known} was known")]
    RolledBack {
        /// The generation of the file.
        found: u64,
        /// The latest one known.
        known: u64,
    },
    /// No slot has this id.
    #[error("no such slot")]
    SlotNotFound,
    /// The vault has all the slots it takes.
    #[error("the vault has as many slots as it takes")]
    SlotsFull,
    /// The state could not be written; what it held stands. No code may be spent.
    #[error("the state beside the vault cannot be written")]
    StateUnsaved {
        /// What the disk said.
        source: io::Error,
    },
    /// The step is burned already.
    #[error("the step is spent")]
    StepSpent,
    /// The vault's content is larger than 16 MiB, or its header than 64 KiB; the old vault stands.
    #[error("the vault would be larger than it may be")]
    TooLarge,
    /// The file could not be read.
    #[error("the vault or its state cannot be read")]
    Unreadable {
        /// What the disk said.
        source: io::Error,
    },
    /// The vault could not be written; the old one stands, on disk and in memory.
    #[error("the vault cannot be saved; the old one stands")]
    Unsaved {
        /// What the disk said.
        source: io::Error,
    },
    /// The vault was written and stands, on disk and in memory, but the disk did not confirm its name:
    /// a power loss now may bring the old one back.
    #[error("the vault was saved, but the disk did not confirm it")]
    Unsynced {
        /// What the disk said.
        source: io::Error,
    },
    /// What a device gave does not open the slot: it is another device, or the slot was changed.
    #[error("what the device gives does not open the slot")]
    WrongDevice,
    /// A wrong guess was made just now.
    #[error("after a wrong guess the next one waits {seconds} s")]
    Wait {
        /// Seconds left.
        seconds: u64,
    },
    /// A passphrase has 1 to 1024 bytes.
    #[error("the passphrase is empty or too long")]
    WeakPassphrase,
    /// The passphrase or code is right, and opens the slot that is to be removed: no wrong guess.
    #[error("the {} is that of slot {slot}, which is to be removed", if *recovery { "recovery code" } else { "passphrase" })]
    ProofGoes {
        /// The slot's id.
        slot: u32,
        /// Whether it is a recovery code.
        recovery: bool,
    },
    /// The passphrase or code opens no slot that counts here.
    #[error("the passphrase or recovery code opens no slot")]
    WrongProof,
}

/// What most of this room returns.
pub type Result<T> = std::result::Result<T, Error>;
