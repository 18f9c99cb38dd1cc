//! Where claviger's files and sockets are: the same answer in the agent and in every client.

use std::path::PathBuf;

/// The folders of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// `config.toml` and `profiles`.
    pub config: PathBuf,
    /// Vault, state, audit record and the lock of the one server.
    pub data: PathBuf,
    /// Folders that may hold the socket, best first. The agent takes the first it can use; a client tries each.
    pub run: Vec<PathBuf>,
    /// The user's home, where `.aws` is.
    pub home: PathBuf,
}

impl Paths {
    /// Finds the folders from the environment (XDG Base Directory specification) and the user id.
    /// `CLAVIGER_HOME` puts all of them under one folder: `config/`, `data/` and `run/`.
    /// None where neither `CLAVIGER_HOME` nor `HOME` is an absolute path; relative XDG values are ignored, as XDG says.
    pub fn find(variable: impl Fn(&str) -> Option<String>, uid: u32) -> Option<Self> {
        let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = absolute("HOME");
        if let Some(root) = absolute("CLAVIGER_HOME") {
            let home = home.unwrap_or_else(|| root.clone());
            return Some(Self {
                config: root.join("config"),
                data: root.join("data"),
                run: vec![root.join("run")],
                home,
            });
        }
        let home = home?;
        let run = [
            absolute("XDG_RUNTIME_DIR").map(|folder| folder.join("claviger")),
            Some(PathBuf::from(format!("/run/user/{uid}/claviger"))),
            Some(home.join(".local/state/claviger/run")),
        ];
        let mut run: Vec<PathBuf> = run.into_iter().flatten().collect();
        run.dedup();
        Some(Self {
            config: absolute("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config")).join("claviger"),
            data: absolute("XDG_DATA_HOME").unwrap_or_else(|| home.join(".local/share")).join("claviger"),
            run,
            home,
        })
    }

    /// The sockets a client may try, best first.
    pub fn sockets(&self) -> impl Iterator<Item = PathBuf> + '_ {
        self.run.iter().map(|folder| folder.join(SOCKET))
    }

    /// The sockets that an SSH client may try, best first.
    pub fn ssh_sockets(&self) -> impl Iterator<Item = PathBuf> + '_ {
        self.run.iter().map(|folder| folder.join(SSH_SOCKET))
    }

    /// The configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// claviger's own profiles.
    pub fn profiles_file(&self) -> PathBuf {
        self.config.join("profiles")
    }

    /// The vault.
    pub fn vault_file(&self) -> PathBuf {
        self.data.join("vault")
    }

    /// The state beside it: ledger, sessions, audit head.
    pub fn state_file(&self) -> PathBuf {
        self.data.join("state")
    }

    /// The audit record: a folder for each vault.
    pub fn audit_folder(&self) -> PathBuf {
        self.data.join("audit")
    }

    /// The host keys of EC2 instances, as ssh pins them at the first login.
    pub fn known_instances_file(&self) -> PathBuf {
        self.data.join("known_instances")
    }

    /// The lock of the one server; never replaced, so that the lock stays with the file.
    pub fn lock_file(&self) -> PathBuf {
        self.data.join("agent.lock")
    }

    /// The log of an agent that was started by a client.
    pub fn log_file(&self) -> PathBuf {
        self.data.join("agent.log")
    }
}

/// The control socket's name in its folder.
pub const SOCKET: &str = "agent.sock";

/// The file name of the SSH agent's socket.
pub const SSH_SOCKET: &str = "ssh.sock";

#[cfg(test)]
mod tests {
    use super::Paths;
    use std::path::Path;

    fn find(variables: &[(&str, &str)]) -> Option<Paths> {
        Paths::find(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()), 1000)
    }

    #[test]
    fn the_runtime_folder_falls_back_to_run_user_and_then_to_home() {
        let bare = find(&[("HOME", "/home/ada")]).expect("paths");
        let sockets: Vec<_> = bare.sockets().collect();
        assert_eq!(
            sockets,
            [
                Path::new("/run/user/1000/claviger/agent.sock"),
                Path::new("/home/ada/.local/state/claviger/run/agent.sock")
            ]
        );
        let full = find(&[("HOME", "/home/ada"), ("XDG_RUNTIME_DIR", "/tmp/r"), ("XDG_CONFIG_HOME", "relative")])
            .expect("paths");
        assert_eq!(full.run[0], Path::new("/tmp/r/claviger"));
        assert_eq!(full.config, Path::new("/home/ada/.config/claviger"));
    }

    #[test]
    fn one_variable_relocates_everything_and_no_home_is_no_paths() {
        let paths =
            find(&[("CLAVIGER_HOME", "/c"), ("HOME", "/home/ada"), ("XDG_RUNTIME_DIR", "/tmp/r")]).expect("paths");
        assert_eq!((paths.vault_file().as_path(), paths.run.len()), (Path::new("/c/data/vault"), 1));
        assert!(find(&[]).is_none() && find(&[("HOME", "relative")]).is_none());
    }
}
