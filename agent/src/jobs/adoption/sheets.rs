//! The three files as they were read, and how their new texts are written.

use super::{Change, Job, Prepared};
use crate::aws::FilesError;
use crate::aws::profile::{ProfileSet, Role, SourceFile, limits};
use crate::jobs::Error;
use crate::world::{Stamp, World};
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

const ROLES: [Role; 3] = [Role::Config, Role::Credentials, Role::Own];

/// The ending of a file's name while its new text is written beside it.
const NEW: &str = ".claviger-new";

/// Config, credentials and claviger's own file, at one moment.
pub struct Sheets([Sheet; 3]);

struct Sheet {
    path: Arc<Path>,
    /// None where there is no file.
    text: Option<Zeroizing<String>>,
    stamp: Option<Stamp>,
}

impl Sheets {
    /// Reads the files at these paths; none of them need exist.
    pub fn read(world: &World, paths: [&Path; 3]) -> Result<Self, Error> {
        let [config, credentials, own] = paths.map(|path| Sheet::read(world, path));
        Ok(Self([config?, credentials?, own?]))
    }

    /// Files that stand nowhere, for what only reads them.
    pub fn of(texts: [(&Path, Option<&str>); 3]) -> Self {
        let sheet = |(path, text): (&Path, Option<&str>)| {
            let text = text.map(|text| Zeroizing::new(text.to_owned()));
            Sheet { path: path.into(), text, stamp: None }
        };
        Self(texts.map(sheet))
    }

    /// The same files with what was prepared; nothing is written.
    pub fn with(&self, prepared: &Prepared) -> Self {
        let [config, credentials, own] = &self.0;
        let [one, two, three] = &prepared.texts;
        let new = |sheet: &Sheet, change: &Option<Change>| {
            let text = match change {
                None => sheet.text.clone(),
                Some(Change::Text(text)) => Some(text.clone()),
                Some(Change::Removed) => None,
            };
            Sheet { path: sheet.path.clone(), text, stamp: None }
        };
        Self([new(config, one), new(credentials, two), new(own, three)])
    }

    /// What they say; None where there is no file.
    pub fn texts(&self) -> [Option<&str>; 3] {
        let [config, credentials, own] = &self.0;
        [config, credentials, own].map(|sheet| sheet.text.as_deref().map(String::as_str))
    }

    /// Where they are.
    pub fn paths(&self) -> [Arc<Path>; 3] {
        let [config, credentials, own] = &self.0;
        [config, credentials, own].map(|sheet| sheet.path.clone())
    }

    /// What they mean together.
    pub fn parse(&self) -> Result<ProfileSet, FilesError> {
        let files = self.0.iter().zip(ROLES).filter_map(|(sheet, role)| {
            Some(SourceFile { path: sheet.path.clone(), role, text: sheet.text.as_deref()? })
        });
        ProfileSet::load(&files.collect::<Vec<_>>()).map_err(FilesError::Problems)
    }

    /// A digest of a job and of the files' bytes: what a person agreed to.
    pub fn digest(&self, job: &Job) -> String {
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hash.update(bytes.len().to_be_bytes());
            hash.update(bytes);
        };
        add(format!("{job:?}").as_bytes());
        for sheet in &self.0 {
            add(sheet.path.as_os_str().as_encoded_bytes());
            add(if sheet.text.is_some() { b"file" } else { b"none" });
            add(sheet.text.as_deref().map_or("", String::as_str).as_bytes());
        }
        data_encoding::HEXLOWER.encode(&hash.finalize())
    }

    /// Writes what was prepared: each file is the old or the new one at every moment, with its mode and owner, and
    /// where it was a link its target is replaced. A file that somebody changed since it was read is left, and those
    /// after it: what is written by then is sound, and the same job goes on from there.
    pub fn write(&self, world: &World, prepared: &Prepared) -> Result<(), Error> {
        let order = if prepared.own_last { [1, 0, 2] } else { [2, 0, 1] };
        for index in order {
            if let (Some(sheet), Some(Some(change))) = (self.0.get(index), prepared.texts.get(index)) {
                sheet.replace(world, change)?;
            }
        }
        Ok(())
    }
}

impl Sheet {
    fn read(world: &World, path: &Path) -> Result<Self, Error> {
        let unreadable = |error| Error::Files(FilesError::Unreadable(path.to_owned(), error));
        let stamp = world.disk.stamp(path).map_err(unreadable)?;
        let bytes = world.disk.read_linked(path, limits::FILE_BYTES as u64).map_err(unreadable)?;
        let text = bytes.map(String::from_utf8).transpose();
        let text = text.map_err(|_| Error::Files(FilesError::NotText(path.to_owned())))?.map(Zeroizing::new);
        let sheet = Self { path: path.into(), text, stamp };
        sheet.unchanged(world)?;
        Ok(sheet)
    }

    fn unchanged(&self, world: &World) -> Result<(), Error> {
        let now = world.disk.stamp(&self.path).map_err(|error| self.unsaved(error))?;
        if now == self.stamp && self.text.is_some() == now.is_some() {
            Ok(())
        } else {
            Err(Error::FileChanged(self.path.to_path_buf()))
        }
    }

    fn unsaved(&self, error: io::Error) -> Error {
        Error::FileUnsaved(self.path.to_path_buf(), error)
    }

    fn replace(&self, world: &World, change: &Change) -> Result<(), Error> {
        let disk = &world.disk;
        let real = disk.real_path(&self.path).map_err(|error| self.unsaved(error))?;
        let is_link = real.as_deref().is_some_and(|real| real != &*self.path);
        let target = real.clone().unwrap_or_else(|| self.path.to_path_buf());
        let folder = target.parent().unwrap_or(Path::new("/")).to_owned();
        let text = match change {
            Change::Text(text) => text.as_str(),
            // The link is the user's own: what it leads to is emptied.
            Change::Removed if is_link => "",
            Change::Removed => {
                self.unchanged(world)?;
                return disk
                    .remove(&target)
                    .and_then(|()| disk.sync_folder(&folder))
                    .map_err(|error| self.unsaved(error));
            }
        };
        let new = beside(&target);
        let written = self.write_beside(world, real.as_deref(), &folder, &new, text);
        let outcome = written.map_err(|error| self.unsaved(error)).and_then(|()| {
            self.unchanged(world)?;
            let renamed = disk.rename(&new, &target).and_then(|()| disk.sync_folder(&folder));
            renamed.map_err(|error| self.unsaved(error))
        });
        if outcome.is_err() {
            // It may hold other keys in plain text.
            let _ = disk.remove(&new);
        }
        outcome
    }

    fn write_beside(
        &self,
        world: &World,
        like: Option<&Path>,
        folder: &Path,
        new: &Path,
        text: &str,
    ) -> io::Result<()> {
        let disk = &world.disk;
        if like.is_none() && disk.stamp(folder)?.is_none() {
            disk.create_private_folder(folder)?;
        }
        // Left by a run that was killed.
        disk.remove(new)?;
        let mut file = match like {
            Some(like) => disk.create_like(new, like)?,
            None => disk.create_new(new)?,
        };
        file.write_all(text.as_bytes())?;
        file.sync()
    }
}

fn beside(target: &Path) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(NEW);
    target.with_file_name(name)
}
