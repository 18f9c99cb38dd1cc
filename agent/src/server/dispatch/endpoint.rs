//! `endpoint_open`.

use super::Obtained;
use crate::server::Server;
use crate::server::conversation::Conversation;
use crate::server::endpoint::{Error, LINGER_LIMIT_SECONDS, Opening};
use crate::session::Delivery;
use claviger::wire::{Code, EndpointKind, Fault, Reply};
use std::error::Error as _;
use std::sync::Arc;

impl Server {
    /// The first credentials are obtained here, where a person can still be asked; the endpoint itself asks nobody.
    pub(super) async fn endpoint_open(
        self: &Arc<Self>,
        (profile, kind): (String, EndpointKind),
        linger: Option<u64>,
        wait: u64,
        conversation: &mut Conversation,
    ) -> Result<Reply, Fault> {
        let linger = linger.unwrap_or(0);
        if linger > LINGER_LIMIT_SECONDS {
            let message = format!("an endpoint lingers {} hours at most", LINGER_LIMIT_SECONDS / 3600);
            return Err(Fault::new(Code::Usage, message));
        }
        let Obtained { region, .. } = self.session_within(&profile, Delivery::Refreshing, wait, conversation).await?;
        let opening = Opening { profile, kind, linger_millis: linger.saturating_mul(1000), region };
        let opened = self.endpoints.open(self, opening, &conversation.peer).await;
        opened.map(Reply::Endpoint).map_err(|error| not_opened(&error))
    }
}

fn not_opened(error: &Error) -> Fault {
    let code = match error {
        Error::NoOwner => Code::EndpointNoOwner,
        Error::NoEntropy(_) | Error::NotListening(_) | Error::TokenUnsaved(_) => Code::EndpointNotOpened,
        Error::TooMany => Code::AgentBusy,
    };
    let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    Fault::new(code, format!("{error}{cause}"))
}
