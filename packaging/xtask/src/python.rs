//! The Python that drives real clients: one virtual environment under the target folder, versions pinned.

use crate::run::{Failure, Job, Outcome, make_folder, root, target, write};
use crate::tools;
use std::path::{Path, PathBuf};

/// A virtual environment: its folder under the target folder, and the file of what is installed in it.
pub(crate) struct Environment {
    folder: &'static str,
    requirements: &'static str,
}

impl Environment {
    /// The file of what is installed in it, from the project's folder.
    pub(crate) fn requirements(&self) -> &'static str {
        self.requirements
    }
}

/// Clients, peers, and moto.
pub(crate) const CLIENTS: Environment = Environment { folder: "venv", requirements: "tests/interop/requirements.txt" };
/// ministack pins another botocore than the clients.
pub(crate) const MINISTACK: Environment =
    Environment { folder: "venv-ministack", requirements: "tests/interop/requirements.ministack.txt" };
/// Yubico's program and library, which the tests of devices find there by themselves.
pub(crate) const DEVICES: Environment =
    Environment { folder: "venv-devices", requirements: "tests/devices/requirements.txt" };

/// Where scripts are found; each runs by itself.
const FOLDERS: [(&str, &str); 4] =
    [("tests/vectors", ""), ("tests/cases", ""), ("tests/sandbox/tests", ""), ("tests/interop", "test_")];

/// The ones that want to be told what to check.
const ARGUMENTS: [(&str, [&str; 2]); 1] = [("tests/vectors/vault_reader.py", ["--check", "tests/vectors/vault"])];

/// The folder of the environment's programs; made anew when its requirements change.
pub(crate) fn environment(environment: &Environment) -> Outcome<PathBuf> {
    tools::require("python3")?;
    let requirements = environment.requirements;
    let wanted = std::fs::read_to_string(root().join(requirements)).map_err(Failure::from(requirements))?;
    let folder = target().join(environment.folder);
    let stamp = folder.join("requirements.installed");
    let programs = folder.join("bin");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(programs);
    }
    make_folder(&target())?;
    Job::new(["python3", "-m", "venv", "--clear"]).and([&folder]).run()?;
    Job::new([programs.join("pip")]).and(["install", "--quiet", "-r", requirements]).run()?;
    write(&stamp, &wanted)?;
    Ok(programs)
}

/// The scripts of this tree, by their path from the root.
pub(crate) fn scripts() -> Vec<String> {
    let mut scripts = Vec::new();
    for (folder, prefix) in FOLDERS {
        let Ok(entries) = std::fs::read_dir(root().join(folder)) else { continue };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let wanted = names.filter(|name| name.ends_with(".py") && name.starts_with(prefix));
        scripts.extend(wanted.map(|name| format!("{folder}/{name}")));
    }
    scripts.sort();
    scripts
}

/// The AWS SDK for JavaScript under the target folder, as its lock file says; fetched anew when that changes.
fn node() -> Outcome<PathBuf> {
    let (source, folder) = (root().join("tests/interop/node"), target().join("node"));
    make_folder(&folder)?;
    for name in ["package.json", "caller.mjs"] {
        crate::run::copy_program(&source.join(name), &folder)?;
    }
    let (lock, stamp) = (source.join("package-lock.json"), folder.join("package-lock.json"));
    let wanted = std::fs::read_to_string(&lock).map_err(Failure::from("tests/interop/node/package-lock.json"))?;
    let installed = folder.join("node_modules/.installed");
    if std::fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    write(&stamp, &wanted)?;
    Job::new(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"]).and([&folder]).run()?;
    write(&installed, &wanted)?;
    Ok(folder)
}

/// Runs a script of the project with the programs in `binaries`. No AWS setting of the person reaches it.
pub(crate) fn run(path: &str, binaries: &Path) -> Outcome {
    let clients = environment(&CLIENTS)?;
    let ministack = environment(&MINISTACK)?;
    let node = if path.contains("test_doors") { Some(node()?) } else { None };
    let own = |name: &str| name.starts_with("AWS_") || name.starts_with("CLAVIGER_");
    let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).filter(|name| own(name));
    Job::new(["env"])
        .and(names.flat_map(|name| ["-u".to_owned(), name]))
        .and([format!("CLAVIGER_BIN={}", binaries.display())])
        .and([format!("CLAVIGER_SANDBOX={}", binaries.join("claviger-sandbox").display())])
        .and([format!("CLAVIGER_MINISTACK={}", ministack.join("ministack").display())])
        .and(node.map(|folder| format!("CLAVIGER_NODE={}", folder.display())))
        .and([clients.join("python3")])
        .and([path])
        .and(ARGUMENTS.iter().filter(|(script, _)| *script == path).flat_map(|(_, words)| words))
        .run()
}

#[cfg(test)]
mod tests {
    use super::scripts;

    #[test]
    fn scripts_are_found_and_helpers_are_not() {
        let scripts = scripts();
        assert!(scripts.contains(&"tests/interop/test_clients.py".to_owned()), "{scripts:?}");
        assert!(!scripts.iter().any(|path| path.ends_with("/rig.py")));
    }
}
