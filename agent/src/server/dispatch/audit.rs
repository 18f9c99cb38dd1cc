//! Requests about the audit record.

use crate::audit::Event;
use crate::audit::read::{Cursor, Filter};
use crate::server::Server;
use crate::server::fault;
use crate::world::rfc3339;
use claviger::model::Since;
use claviger::wire::{AuditBad, AuditPage, AuditStory, AuditVerdict, Code, Fault, Reply, Request};
use data_encoding::HEXLOWER;
use std::sync::Arc;

impl Server {
    pub(super) async fn audit_request(self: &Arc<Self>, request: Request) -> Result<Reply, Fault> {
        let server = self.clone();
        let work = tokio::task::spawn_blocking(move || match request {
            Request::AuditLog { event: Some(event), .. } if !Event::is_known(&event) => {
                Err(fault::audit::unknown_event(&event))
            }
            Request::AuditLog { since, profile, event, cursor } => {
                let filter = Filter { since: since.map(|since| server.time_of(since)), profile, event };
                server.audit_page(&filter, cursor.as_deref())
            }
            Request::AuditVerify {} => Ok(server.audit_verdict()),
            Request::AuditWhy { id } => server.audit_story(&id),
            _ => Err(fault::internal()),
        });
        work.await.unwrap_or_else(|_| Err(fault::internal()))
    }

    fn audit_page(&self, filter: &Filter, cursor: Option<&str>) -> Result<Reply, Fault> {
        let cursor = match cursor {
            Some(text) => Some(
                Cursor::parse(text).ok_or_else(|| Fault::new(Code::Usage, "the cursor is not one of a page before"))?,
            ),
            None => None,
        };
        let page = self.journal.page(self.vault_id().as_deref(), filter, cursor);
        let page = page.map_err(|error| fault::audit::unreadable(&error))?;
        let next = page.next.map(|cursor| cursor.to_string());
        Ok(Reply::AuditPage(AuditPage { records: page.records, next }))
    }

    fn audit_verdict(&self) -> Reply {
        let found = self.journal.verify(self.vault_id().as_deref());
        Reply::AuditVerdict(AuditVerdict {
            files: found.files,
            records: found.records,
            first: found.first,
            last: found.last.seq,
            gaps: found.gaps,
            recovered: found.recovered,
            retired: found.retired,
            sealed: found.sealed,
            bad: found.bad.map(|bad| AuditBad { file: bad.file, line: bad.line, what: bad.wrong.to_string() }),
        })
    }

    fn audit_story(&self, id: &str) -> Result<Reply, Fault> {
        let story = self.journal.why(self.vault_id().as_deref(), id);
        let story = story.map_err(|error| fault::audit::unreadable(&error))?;
        if story.records.is_empty() {
            return Err(fault::audit::unknown_id());
        }
        Ok(Reply::AuditStory(AuditStory { records: story.records, served: story.served }))
    }

    /// The vault whose record it is, as the record's folder is named. None where there is no vault.
    fn vault_id(&self) -> Option<String> {
        self.custody.id().ok().map(|id| HEXLOWER.encode(&id))
    }

    fn time_of(&self, since: Since) -> String {
        match since {
            Since::Ago(seconds) => {
                let millis = i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
                rfc3339(self.world.clock.wall().plus_millis(millis.saturating_neg()))
            }
            Since::At(time) => time,
        }
    }
}
