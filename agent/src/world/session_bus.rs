//! The session bus of D-Bus, for the rooms that speak to the desktop.

use std::path::PathBuf;

/// Where the session bus is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionBus {
    /// An address as in `DBUS_SESSION_BUS_ADDRESS`.
    Address(String),
    /// A socket.
    Socket(PathBuf),
}

/// There is no bus, or it does not take this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no session bus")]
pub struct NoBus;

impl SessionBus {
    /// The bus of this environment (`DBUS_SESSION_BUS_ADDRESS`, else `bus` in the runtime folder). Only a local socket
    /// counts: other addresses of D-Bus run programs or leave the machine.
    pub fn find(variable: impl Fn(&str) -> Option<String>, uid: u32) -> Self {
        let listed = variable("DBUS_SESSION_BUS_ADDRESS").unwrap_or_default();
        if let Some(local) = listed.split(';').find(|address| address.starts_with("unix:")) {
            return Self::Address(local.to_owned());
        }
        let runtime = variable("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_absolute());
        Self::Socket(runtime.unwrap_or_else(|| PathBuf::from(format!("/run/user/{uid}"))).join("bus"))
    }

    /// A connection of its own. Nothing bounds the wait for a bus that hangs.
    pub async fn connect(&self) -> Result<zbus::Connection, NoBus> {
        let builder = match self {
            Self::Address(address) => zbus::connection::Builder::address(address.as_str()).map_err(|_| NoBus)?,
            Self::Socket(path) => {
                let stream = tokio::net::UnixStream::connect(path).await.map_err(|_| NoBus)?;
                zbus::connection::Builder::unix_stream(stream)
            }
        };
        builder.build().await.map_err(|_| NoBus)
    }
}
