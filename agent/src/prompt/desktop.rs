//! A notification of the desktop, for as long as it is of use (Desktop Notifications Specification 1.2). No bus, or no
//! service on it, and nothing is shown: that is no fault.

use super::limits::{BUS_MILLIS, NOTIFICATION_MILLIS};
use crate::world::{Clock, SessionBus};
use futures_util::future::BoxFuture;
use std::collections::HashMap;
use std::sync::Arc;
use zbus::zvariant::Value;
use zbus::{Connection, Message};

const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";
/// What stays until it is taken away; the others go into a drawer after seconds.
const CRITICAL: u8 = 2;

/// What is shown; plain text.
pub(super) struct Note {
    pub(super) summary: String,
    pub(super) lines: Vec<String>,
}

/// Shows it until that is over. The connection lasts as long: some desktops drop what its sender leaves behind.
pub(super) async fn show(bus: SessionBus, clock: Arc<dyn Clock>, note: Note, mut over: BoxFuture<'static, ()>) {
    let connecting = async {
        tokio::select! {
            biased;
            () = &mut over => None,
            connection = bus.connect() => connection.ok(),
        }
    };
    let Some(connection) = within(&*clock, connecting).await else { return };
    let Some(number) = within(&*clock, notify(&connection, &note)).await else {
        return tracing::debug!("the desktop shows no notification");
    };
    // What was shown too late is taken away at once.
    over.await;
    within(&*clock, call(&connection, "CloseNotification", &(number,))).await;
}

/// The notification's number.
async fn notify(connection: &Connection, note: &Note) -> Option<u32> {
    // The body is markup to those that know markup, and shows its entities to the others.
    let body = note.lines.iter().map(|line| marked_up(line)).collect::<Vec<_>>().join("\n");
    let hints = HashMap::from([("urgency", Value::U8(CRITICAL)), ("transient", Value::Bool(true))]);
    let (icon, actions) = ("dialog-password", Vec::<&str>::new());
    let arguments =
        ("claviger", 0_u32, icon, note.summary.as_str(), body.as_str(), actions, hints, NOTIFICATION_MILLIS);
    call(connection, "Notify", &arguments).await?.body().deserialize().ok()
}

async fn call(
    connection: &Connection,
    method: &str,
    arguments: &(impl serde::Serialize + zbus::zvariant::DynamicType),
) -> Option<Message> {
    connection.call_method(Some(NAME), PATH, Some(NAME), method, arguments).await.ok()
}

async fn within<T>(clock: &dyn Clock, work: impl Future<Output = Option<T>>) -> Option<T> {
    let deadline = clock.boot().plus_millis(BUS_MILLIS);
    tokio::select! {
        biased;
        done = work => done,
        () = clock.sleep_until(deadline) => None,
    }
}

fn marked_up(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
