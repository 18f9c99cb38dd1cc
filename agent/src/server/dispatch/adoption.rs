//! Requests that change the AWS files: shown first, done when the digest of what was shown comes back.

use crate::jobs::Error;
use crate::jobs::adoption::{self, Given, Job, Kind, Prepared, Sheets};
use crate::server::Server;
use crate::server::fault;
use crate::vault::Leave;
use claviger::wire::{Change, Changes, Code, Fault, ImportedKey, Reply, Request, SkippedProfile};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of diff in one reply: with JSON's escapes it stays well under the line's limit.
const PAGE_BYTES: usize = 64 * 1024;
/// Rows of a list in one reply.
const ROWS: usize = 100;

/// One change at a time, and the diff that was shown last, so that its pages are made once.
#[derive(Default)]
pub(in crate::server) struct Edits {
    one: Arc<tokio::sync::Mutex<()>>,
    shown: Mutex<Option<(String, Arc<Changes>)>>,
}

impl Server {
    pub(super) async fn adoption_request(self: &Arc<Self>, request: Request) -> Result<Reply, Fault> {
        let (kind, change, verify) = match request {
            Request::AccessKeyImport { name, verify, change } => {
                // All names would be one.
                if name.is_some() && change.profile.is_none() {
                    return Err(Fault::new(Code::Usage, "a name is given to the access key of one profile"));
                }
                (Kind::Import { program: program(&change)?, name }, change, verify)
            }
            Request::ProfileAdopt { change } => (Kind::Adopt { program: program(&change)? }, change, false),
            Request::ProfileRelease { change } => (Kind::Release, change, false),
            _ => return Err(fault::internal()),
        };
        let one = self.edits.one.clone().lock_owned().await;
        // Without the vault it is not known which profiles claviger serves.
        if self.custody.never_opened() {
            return Err(fault::closed(&self.custody));
        }
        if matches!(kind, Kind::Import { .. }) {
            self.custody.require_unlocked().map_err(fault::vault)?;
        }
        let job = Job { kind, profile: change.profile.clone() };
        if change.skip > 0
            && change.apply.is_none()
            && let Some(shown) = self.shown_before(&job)
        {
            return Ok(Reply::Changes(page(&shown, change.skip)));
        }
        let server = self.clone();
        // A task of its own: a client that hangs up must not leave a change half done.
        let work = tokio::spawn(async move {
            let _one = one;
            server.change(job, &change, verify).await
        });
        work.await.unwrap_or_else(|_| Err(fault::internal()))
    }

    async fn change(self: Arc<Self>, job: Job, change: &Change, verify: bool) -> Result<Reply, Fault> {
        // Keys that are about to be in the vault are in hand from here on.
        let leave = self.custody.leave();
        let (server, asked) = (self.clone(), job.clone());
        let prepared = blocking(move || {
            let sheets = Sheets::read(&server.world, server.files.paths().each_ref().map(PathBuf::as_path))?;
            let digest = sheets.digest(&asked);
            let prepared = server.prepare(&sheets, &asked)?;
            Ok((sheets, digest, prepared))
        });
        let (sheets, digest, prepared) = prepared.await.map_err(fault::job)?;
        match &change.apply {
            None => Ok(self.show(&job, digest, &prepared, change.skip)),
            Some(agreed) if *agreed != digest => {
                let message = "the files were changed since they were shown; nothing was written";
                Err(Fault::new(Code::FileChanged, message))
            }
            Some(_) => {
                self.keep(&prepared, verify, leave.clone()).await.map_err(fault::job)?;
                let applied = self.apply(sheets, digest, prepared).await.map_err(fault::job)?;
                Ok(Reply::Changes(page(&applied, usize::MAX)))
            }
        }
    }

    fn prepare(&self, sheets: &Sheets, job: &Job) -> Result<Prepared, Error> {
        let items = match job.kind {
            Kind::Import { .. } => Some(self.custody.with_items(Clone::clone)?),
            Kind::Adopt { .. } | Kind::Release => None,
        };
        let office = &self.office;
        let given = Given {
            sheets,
            knowledge: &self.custody.knowledge(),
            items: items.as_ref(),
            planner: &|profiles, knowledge, name| office.plan_as_if(profiles, knowledge, name),
        };
        adoption::prepare(&given, job)
    }

    /// The keys are in the vault before a line of them goes.
    async fn keep(&self, prepared: &Prepared, verify: bool, mut leave: Leave) -> Result<(), Error> {
        let mut users = std::collections::BTreeMap::new();
        if verify && prepared.keys.iter().any(|key| !key.stored) {
            let profiles = self.files.load().map_err(Error::Files)?;
            users = tokio::select! {
                biased;
                users = adoption::verify(&self.office, &profiles, &prepared.keys) => users?,
                () = leave.over() => return Err(Error::Vault(crate::vault::Error::Locked)),
            };
        }
        adoption::store(self.custody.clone(), &prepared.keys, users, self.world.clock.wall()).await
    }

    async fn apply(self: &Arc<Self>, sheets: Sheets, digest: String, prepared: Prepared) -> Result<Changes, Error> {
        let server = self.clone();
        blocking(move || {
            sheets.write(&server.world, &prepared)?;
            Ok(changes(digest, &prepared, true))
        })
        .await
    }

    /// The first page, and the rest for those who ask for it.
    fn show(&self, job: &Job, digest: String, prepared: &Prepared, skip: usize) -> Reply {
        let changes = Arc::new(changes(digest, prepared, false));
        let first = page(&changes, skip);
        *self.edits.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some((format!("{job:?}"), changes));
        Reply::Changes(first)
    }

    fn shown_before(&self, job: &Job) -> Option<Arc<Changes>> {
        let shown = self.edits.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.as_ref().filter(|(known, _)| *known == format!("{job:?}")).map(|(_, changes)| changes.clone())
    }
}

/// Work on the disk, off the event loop.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Error::Vault(crate::vault::Error::Interrupted)))
}

fn changes(digest: String, prepared: &Prepared, applied: bool) -> Changes {
    let key = |key: &adoption::KeyFound| ImportedKey {
        profile: key.profile.clone(),
        name: key.name.clone(),
        access_key_id: key.access_key_id.clone(),
        stored: key.stored,
    };
    let skipped = prepared.skipped.iter().map(|(profile, error)| {
        let fault = fault::job_ref(error);
        SkippedProfile { profile: profile.clone(), fault: fault.code.to_string(), message: fault.message }
    });
    Changes {
        digest,
        applied,
        profiles: prepared.profiles.len(),
        diff: prepared.diff.clone(),
        diff_lines: prepared.diff.len(),
        access_keys: prepared.keys.iter().take(ROWS).map(key).collect(),
        skipped: skipped.take(ROWS).collect(),
        skipped_count: prepared.skipped.len(),
    }
}

/// The lines after so many; at least one, where there is one.
fn page(changes: &Changes, skip: usize) -> Changes {
    let mut bytes = 0;
    let fits = |line: &&String| {
        let first = bytes == 0;
        bytes += line.len() + 4;
        first || bytes <= PAGE_BYTES
    };
    let diff = changes.diff.iter().skip(skip).take_while(fits).cloned().collect();
    Changes { diff, ..changes.clone() }
}

fn program(change: &Change) -> Result<PathBuf, Fault> {
    change.program.clone().ok_or_else(|| Fault::new(Code::Usage, "the client does not say where it is"))
}
