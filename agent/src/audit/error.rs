//! Why an act cannot be recorded, and so does not happen.

use std::io;
use std::path::PathBuf;

/// The act was not begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk is full, and what was set aside for the record is used up.
    #[error("there is no room for the audit record in {}", .folder.display())]
    Full {
        /// Where the record is.
        folder: PathBuf,
    },
    /// The record cannot be read or written.
    #[error("the audit record cannot be written")]
    Unwritable {
        /// What the disk said.
        source: io::Error,
    },
}

impl Error {
    pub(super) fn of(source: io::Error, folder: PathBuf) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full { folder }
            }
            _ => Self::Unwritable { source },
        }
    }
}
