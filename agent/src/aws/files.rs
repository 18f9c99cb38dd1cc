//! The AWS files and claviger's own, parsed once and again only when one of them has changed.

use super::profile::{Problem, ProfileSet, Role, SourceFile, limits};
use crate::world::{Stamp, World};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// The three files.
pub struct AwsFiles {
    world: World,
    known: Mutex<Known>,
}

struct Known {
    files: [(Role, PathBuf); 3],
    parsed: Option<(Stamps, Arc<ProfileSet>)>,
}

/// Why the files say nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// Not UTF-8.
    #[error("{} is not UTF-8", .0.display())]
    NotText(PathBuf),
    /// Lines that cannot be read as they stand; at least one.
    #[error("the AWS files have mistakes")]
    Problems(Vec<Problem>),
    /// The file is there and cannot be read.
    #[error("{} cannot be read", .0.display())]
    Unreadable(PathBuf, #[source] std::io::Error),
}

type Stamps = [Option<Stamp>; 3];

impl AwsFiles {
    /// The files at these paths; none of them need exist.
    pub fn new(world: World, config: PathBuf, credentials: PathBuf, own: PathBuf) -> Self {
        let files = [(Role::Config, config), (Role::Credentials, credentials), (Role::Own, own)];
        Self { world, known: Mutex::new(Known { files, parsed: None }) }
    }

    /// From now on these two in place of the AWS files known until now.
    pub fn set_paths(&self, config: PathBuf, credentials: PathBuf) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let [(_, old_config), (_, old_credentials), _] = &mut known.files;
        (*old_config, *old_credentials) = (config, credentials);
        known.parsed = None;
    }

    /// Where the files are: config, credentials and claviger's own.
    pub fn paths(&self) -> [PathBuf; 3] {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.files.clone().map(|(_, path)| path)
    }

    /// What the files say now: inode, size and time are looked at on each call.
    pub fn load(&self) -> Result<Arc<ProfileSet>, FilesError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = self.stamps(&known.files)?;
        if let Some((_, profiles)) = known.parsed.as_ref().filter(|(parsed, _)| *parsed == stamps) {
            return Ok(profiles.clone());
        }
        let profiles = Arc::new(self.parse(&known.files)?);
        known.parsed = Some((stamps, profiles.clone()));
        Ok(profiles)
    }

    /// What AWS's own tools find: the same without claviger's file.
    pub fn as_tools_see(&self) -> Result<ProfileSet, FilesError> {
        let [config, credentials, _] = self.known.lock().unwrap_or_else(PoisonError::into_inner).files.clone();
        self.parse(&[config, credentials])
    }

    fn stamps(&self, files: &[(Role, PathBuf); 3]) -> Result<Stamps, FilesError> {
        let mut stamps = [None; 3];
        for (stamp, (_, path)) in stamps.iter_mut().zip(files) {
            *stamp = self.world.disk.stamp(path).map_err(|error| FilesError::Unreadable(path.clone(), error))?;
        }
        Ok(stamps)
    }

    fn parse(&self, files: &[(Role, PathBuf)]) -> Result<ProfileSet, FilesError> {
        let mut texts = Vec::with_capacity(files.len());
        for (role, path) in files {
            let bytes = self.world.disk.read_linked(path, limits::FILE_BYTES as u64);
            let bytes = bytes.map_err(|error| FilesError::Unreadable(path.clone(), error))?.unwrap_or_default();
            let text = String::from_utf8(bytes).map_err(|_| FilesError::NotText(path.clone()))?;
            // It may hold plaintext keys.
            let text = Zeroizing::new(text);
            texts.push((*role, Arc::<Path>::from(path.as_path()), text));
        }
        let sources: Vec<SourceFile<'_>> =
            texts.iter().map(|(role, path, text)| SourceFile { path: path.clone(), role: *role, text }).collect();
        ProfileSet::load(&sources).map_err(FilesError::Problems)
    }
}
