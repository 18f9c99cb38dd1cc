//! Programs that the tests need beside cargo and a C compiler.

use crate::run::{Failure, Job, Outcome, say};

/// A tool: how to see that it is there, and what brings it.
struct Tool {
    name: &'static str,
    probe: &'static [&'static str],
    install: &'static [&'static str],
    debian: bool,
}

const TOOLS: &[Tool] = &[
    Tool {
        name: "aws CLI 2",
        probe: &["sh", "-c", "/usr/bin/aws --version 2>&1 | grep -q '^aws-cli/2'"],
        install: &["apt-get", "install", "-y", "--no-install-recommends", "awscli"],
        debian: true,
    },
    Tool {
        name: "cargo deny",
        probe: &["cargo", "deny", "--version"],
        // A debug build: a third of the time to make, and a second slower to run.
        install: &["cargo", "install", "--locked", "--debug", "--version", "0.20.2", "cargo-deny"],
        debian: false,
    },
    Tool {
        name: "cargo fmt",
        probe: &["cargo", "fmt", "--version"],
        install: &["rustup", "component", "add", "rustfmt"],
        debian: false,
    },
    Tool {
        name: "cargo clippy",
        probe: &["cargo", "clippy", "--version"],
        install: &["rustup", "component", "add", "clippy"],
        debian: false,
    },
    Tool {
        name: "chromium",
        probe: &["chromium", "--version"],
        install: &["apt-get", "install", "-y", "--no-install-recommends", "chromium"],
        debian: true,
    },
    Tool {
        name: "dbus-daemon",
        probe: &["dbus-daemon", "--version"],
        install: &["apt-get", "install", "-y", "--no-install-recommends", "dbus-daemon"],
        debian: true,
    },
    Tool {
        name: "gnome-keyring",
        probe: &["gnome-keyring-daemon", "--version"],
        install: &["apt-get", "install", "-y", "--no-install-recommends", "gnome-keyring"],
        debian: true,
    },
    Tool {
        name: "fish",
        probe: &["sh", "-c", "command -v fish"],
        install: &["apt-get", "install", "-y", "--no-install-recommends", "fish"],
        debian: true,
    },
    Tool {
        name: "fido2-tools",
        probe: &["fido2-token", "-V"],
        install: &["apt-get", "install", "-y", "--no-install-recommends", "fido2-tools"],
        debian: true,
    },
    Tool {
        name: "git",
        probe: &["git", "--version"],
        install: &["apt-get", "install", "-y", "--no-install-recommends", "git"],
        debian: true,
    },
    Tool {
        name: "libclang",
        // The bindings of Nitrokey's file system are made anew by every build.
        probe: &["sh", "-c", "ls /usr/lib/llvm-*/lib/libclang*.so*"],
        install: &["apt-get", "install", "-y", "--no-install-recommends", "libclang-dev"],
        debian: true,
    },
    Tool {
        name: "mandoc",
        probe: &["sh", "-c", "command -v mandoc"],
        install: &["apt-get", "install", "-y", "--no-install-recommends", "mandoc"],
        debian: true,
    },
    Tool {
        name: "node",
        probe: &["sh", "-c", "node --version && npm --version"],
        install: &["apt-get", "install", "-y", "--no-install-recommends", "nodejs", "npm"],
        debian: true,
    },
    Tool {
        name: "opensc",
        probe: &["sh", "-c", "command -v opensc-tool pkcs11-tool && ls /usr/lib/*/opensc-pkcs11.so"],
        install: &["apt-get", "install", "-y", "--no-install-recommends", "opensc"],
        debian: true,
    },
    Tool {
        name: "openssh",
        // Client, server and what they copy files with, all of one version.
        probe: &[
            "sh",
            "-c",
            concat!(
                "set -e; for program in ssh ssh-add ssh-agent ssh-keygen scp sftp; do command -v $program; done; ",
                "test -x /usr/sbin/sshd; test -x /usr/lib/openssh/sftp-server; ",
                "test $(dpkg-query -W -f '${Version}\\n' openssh-client openssh-server openssh-sftp-server | sort -u | wc -l) = 1"
            ),
        ],
        install: &[
            "apt-get",
            "install",
            "-y",
            "--no-install-recommends",
            "openssh-client",
            "openssh-server",
            "openssh-sftp-server",
        ],
        debian: true,
    },
    Tool {
        name: "openssh-tests",
        // The package names the versions of the others in its dependencies; a newer one brings newer ones.
        probe: &[
            "sh",
            "-c",
            concat!(
                "test -f /usr/lib/openssh/regress/test-exec.sh && ",
                "test $(dpkg-query -W -f '${Version}\\n' openssh-client openssh-server openssh-tests | sort -u | wc -l) = 1"
            ),
        ],
        install: &[
            "apt-get",
            "install",
            "-y",
            "--no-install-recommends",
            "openssh-client",
            "openssh-server",
            "openssh-sftp-server",
            "openssh-tests",
        ],
        debian: true,
    },
    Tool {
        name: "openssl",
        probe: &["openssl", "version"],
        install: &["apt-get", "install", "-y", "--no-install-recommends", "openssl"],
        debian: true,
    },
    Tool {
        name: "pcscd",
        // The daemon, and the header of its drivers.
        probe: &["sh", "-c", "/usr/sbin/pcscd --version && test -f /usr/include/PCSC/ifdhandler.h"],
        install: &["apt-get", "install", "-y", "--no-install-recommends", "pcscd", "libpcsclite-dev"],
        debian: true,
    },
    Tool {
        name: "pinentry-tty",
        probe: &["sh", "-c", "command -v pinentry-tty"],
        install: &["apt-get", "install", "-y", "--no-install-recommends", "pinentry-tty"],
        debian: true,
    },
    Tool {
        name: "python3",
        // ensurepip is what Debian keeps apart from python3, and what a venv needs.
        probe: &["python3", "-c", "import ensurepip, venv"],
        install: &["apt-get", "install", "-y", "--no-install-recommends", "python3", "python3-venv"],
        debian: true,
    },
    Tool {
        name: "rclone",
        probe: &["rclone", "version"],
        install: &["apt-get", "install", "-y", "--no-install-recommends", "rclone"],
        debian: true,
    },
    Tool {
        name: "restic",
        probe: &["restic", "version"],
        install: &["apt-get", "install", "-y", "--no-install-recommends", "restic"],
        debian: true,
    },
    Tool {
        name: "rsync",
        probe: &["rsync", "--version"],
        install: &["apt-get", "install", "-y", "--no-install-recommends", "rsync"],
        debian: true,
    },
    Tool {
        name: "root, for a second user",
        probe: &["sh", "-c", "test $(id -u) = 0"],
        // Nothing to install: the line to type is the whole command, as root.
        install: &[],
        debian: false,
    },
    Tool {
        name: "s3cmd",
        probe: &["s3cmd", "--version"],
        install: &["apt-get", "install", "-y", "--no-install-recommends", "s3cmd"],
        debian: true,
    },
    Tool {
        name: "setpriv",
        probe: &["setpriv", "--version"],
        install: &["apt-get", "install", "-y", "--no-install-recommends", "util-linux"],
        debian: true,
    },
    Tool {
        name: "setsid",
        probe: &["sh", "-c", "command -v setsid && command -v timeout"],
        install: &["apt-get", "install", "-y", "--no-install-recommends", "util-linux", "coreutils"],
        debian: true,
    },
    Tool {
        name: "ssh-keygen",
        probe: &["sh", "-c", "command -v ssh-keygen && command -v ssh-add"],
        install: &["apt-get", "install", "-y", "--no-install-recommends", "openssh-client"],
        debian: true,
    },
    Tool {
        name: "strace",
        probe: &["strace", "--version"],
        install: &["apt-get", "install", "-y", "--no-install-recommends", "strace"],
        debian: true,
    },
    Tool {
        name: "systemd-socket-activate",
        probe: &["systemd-socket-activate", "--version"],
        install: &["apt-get", "install", "-y", "--no-install-recommends", "systemd"],
        debian: true,
    },
    Tool {
        name: "umockdev",
        probe: &["sh", "-c", "pkg-config --exists umockdev-1.0 libudev && umockdev-run --version"],
        install: &[
            "apt-get",
            "install",
            "-y",
            "--no-install-recommends",
            "umockdev",
            "libumockdev-dev",
            "libudev-dev",
            "pkg-config",
        ],
        debian: true,
    },
    Tool {
        name: "ykcs11",
        probe: &["sh", "-c", "ls /usr/lib/*/libykcs11.so"],
        install: &["apt-get", "install", "-y", "--no-install-recommends", "ykcs11"],
        debian: true,
    },
    Tool {
        name: "zsh",
        probe: &["sh", "-c", "command -v zsh"],
        install: &["apt-get", "install", "-y", "--no-install-recommends", "zsh"],
        debian: true,
    },
];

/// Makes sure a tool is there, installing it where that can be done without asking.
/// The failure is the one line a person can type.
pub(crate) fn require(name: &str) -> Outcome {
    let Some(tool) = TOOLS.iter().find(|tool| tool.name == name) else {
        return Err(Failure::new(format!("{name} is not in the list of tools")));
    };
    if Job::new(tool.probe).succeeds() {
        return Ok(());
    }
    if tool.install.is_empty() {
        return Err(Failure::new(format!("{name} is missing; run this as root to have it")));
    }
    let line = |sudo: bool| Job::new(sudo.then_some("sudo").into_iter().chain(tool.install.iter().copied()));
    let missing = || Failure::new(format!("{name} is missing; install it with: {}", line(tool.debian).line()));
    say(&format!("{name} is missing"));
    let installed = if !tool.debian {
        line(false).run()
    } else if Job::new(["test", "-e", "/etc/debian_version"]).succeeds() {
        if Job::new(["id", "-u"]).stdout()?.trim() == "0" {
            Job::new(["apt-get", "update", "-q"]).run().and_then(|()| line(false).run())
        } else if Job::new(["sudo", "-n", "true"]).succeeds() {
            Job::new(["sudo", "-n", "apt-get", "update", "-q"]).run().and_then(|()| line(true).run())
        } else {
            return Err(missing());
        }
    } else {
        return Err(missing());
    };
    installed.map_err(|_| missing())
}

/// Whether a missing tool is an error (CI) or a skip.
pub(crate) fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

#[cfg(test)]
mod tests {
    use super::require;

    #[test]
    fn a_tool_that_nobody_listed_is_a_failure() {
        assert!(require("cargo teleport").is_err());
    }
}
