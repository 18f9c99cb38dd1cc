//! Profiles adopted, released and imported by the real programs: the files, the sandbox, and a kill at any moment.

use crate::home::{Ended, Home, PASSPHRASE};
use crate::sandbox::Sandbox;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;

const CONFIG: &str = "\
# mine
[profile prod]
role_arn = arn:aws:iam::123456789012:role/prod-admin   ; the one\r
source_profile = dev
region = eu-central-1
s3 =
  max_concurrent_requests = 5

[profile sso]
sso_session = corp
[profile none]
region = eu-west-1";

/// A home whose profiles stand in the AWS files alone.
fn home(sandbox: &Sandbox, config: &str) -> Home {
    let home = Home::at(sandbox);
    fs::remove_file(home.file("config/profiles")).expect("the profiles");
    home.write(".aws/config", config);
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    home
}

fn ready(sandbox: &Sandbox) -> Home {
    let home = home(sandbox, CONFIG);
    home.run(&["access-key", "add", "dev", "--stdin"], &sandbox.access_key()).good();
    let serial = sandbox.text("mfa_serial");
    home.run(&["mfa", "add", "--for", "dev", "--seed-stdin", "--serial", serial], sandbox.text("mfa_seed")).good();
    home
}

impl Home {
    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    /// Every file that may change, absent ones too, and what lies beside them.
    fn files(&self) -> Vec<(String, String)> {
        let mut files = Vec::new();
        for folder in [".aws", "config"] {
            let entries = fs::read_dir(self.file(folder)).into_iter().flatten().flatten();
            files.extend(entries.map(|entry| {
                let name = format!("{folder}/{}", entry.file_name().display());
                let text = self.text(&name);
                (name, text)
            }));
        }
        files.sort();
        files
    }

    fn adopted(&self) -> Vec<String> {
        let rows: Value = serde_json::from_str(&self.run(&["profile", "list", "--json"], "").good()).expect("JSON");
        let rows = rows.as_array().expect("rows").iter().filter(|row| row["adopted"] == true);
        rows.filter_map(|row| Some(row["profile"].as_str()?.to_owned())).collect()
    }
}

fn says(ended: &Ended, exit: i32, words: &str) {
    assert!(ended.exit == Some(exit) && ended.stderr.contains(words), "wanted {exit} and {words:?}: {ended:?}");
}

#[test]
fn a_profile_is_adopted_serves_and_is_released_byte_for_byte() {
    let sandbox = Sandbox::start();
    let home = ready(&sandbox);
    fs::set_permissions(home.file(".aws/config"), fs::Permissions::from_mode(0o640)).expect("chmod");
    let before = home.files();
    let plan = home.run(&["profile", "explain", "prod", "--json"], "").good();
    let shown = home.run(&["profile", "adopt", "prod", "--dry-run"], "");
    assert!(shown.stdout.contains("-source_profile = dev\n") && shown.stdout.contains("+credential_process = \""));
    says(&home.run(&["profile", "adopt", "prod"], ""), 2, "there is no terminal");
    assert_eq!(home.files(), before, "only shown");
    home.run(&["profile", "adopt", "prod", "--yes"], "").good();
    assert_eq!(home.run(&["profile", "explain", "prod", "--json"], "").good(), plan);
    assert_eq!(home.adopted(), ["prod"]);
    says(&home.run(&["profile", "adopt", "prod", "--yes"], ""), 5, "is adopted already");
    let config = home.text(".aws/config");
    let line = config.lines().find_map(|line| line.strip_prefix("credential_process = ")).expect("claviger's line");
    let asked = std::process::Command::new("sh").args(["-c", line]).env("CLAVIGER_HOME", home.path()).output();
    let credentials: Value = serde_json::from_slice(&asked.expect("sh").stdout).expect("JSON");
    assert_eq!((credentials["Version"].as_u64(), &credentials["AccountId"]), (Some(1), &"123456789012".into()));
    assert!(
        config.contains("region = eu-central-1\ns3 =\n  max_concurrent_requests = 5\n")
            && config.ends_with("eu-west-1")
    );
    let mode = fs::metadata(home.file(".aws/config")).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    home.run(&["profile", "release", "prod", "--yes"], "").good();
    assert_eq!(home.files(), before);
    says(&home.run(&["profile", "release", "prod", "--yes"], ""), 5, "is not adopted");
}

#[test]
fn of_all_profiles_those_that_nobody_could_serve_stay() {
    let sandbox = Sandbox::start();
    let home = ready(&sandbox);
    let before = home.files();
    let done = home.run(&["profile", "adopt", "--all", "--yes"], "");
    says(&done, 0, "left as it is: sso: profile sso: IAM Identity Center is not served yet");
    says(&done, 0, "1 profile adopted");
    says(&home.run(&["profile", "adopt", "sso", "--yes"], ""), 2, "IAM Identity Center");
    says(&home.run(&["profile", "adopt", "nobody", "--yes"], ""), 6, "nobody");
    says(&home.run(&["profile", "adopt", "--all", "--yes"], ""), 0, "There is nothing to change");
    home.run(&["profile", "release", "--all", "--yes"], "").good();
    assert_eq!(home.files(), before);
}

#[test]
fn a_file_that_changed_since_it_was_shown_is_left() {
    let sandbox = Sandbox::start();
    let home = ready(&sandbox);
    let mut wire = home.connect();
    let program = crate::home::program("claviger");
    let mut ask = |apply: Option<&str>| {
        let change = serde_json::json!({"profile": "prod", "program": program, "apply": apply});
        wire.ask(7, &serde_json::json!({"profile_adopt": change}))
    };
    let shown = ask(None);
    let digest = shown["reply"]["changes"]["digest"].as_str().expect("a digest").to_owned();
    home.write(".aws/config", &format!("{CONFIG}\n"));
    let before = home.files();
    assert_eq!(ask(Some(&digest))["fault"]["code"], "file.changed");
    assert_eq!(home.files(), before);
    home.write(".aws/config", CONFIG);
    assert_eq!(ask(Some(&digest))["reply"]["changes"]["applied"], true);
}

#[test]
fn keys_in_plain_text_go_into_the_vault_and_their_profiles_work() {
    let sandbox = Sandbox::start();
    let (id, secret) = (sandbox.text("access_key_id"), sandbox.text("secret_access_key"));
    let config = "[profile prod]\nrole_arn = arn:aws:iam::123456789012:role/plain\nsource_profile = dev\n";
    let home = home(&sandbox, config);
    let credentials = format!(
        "# of the console\n[dev]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\nregion = eu-central-1\n\n\
         [my key]\naws_access_key_id={id}\naws_secret_access_key={secret}\n\n\
         [session]\naws_access_key_id = ASIAIOSFODNN7EXAMPLE\naws_secret_access_key = x\naws_session_token = y\n"
    );
    home.write(".aws/credentials", &credentials);
    says(&home.run(&["process", "dev"], ""), 2, "claviger access-key import dev");
    says(&home.run(&["profile", "adopt", "dev", "--yes"], ""), 2, "claviger access-key import dev");
    says(&home.run(&["access-key", "import", "session", "--yes"], ""), 5, "a session's");
    says(&home.run(&["access-key", "import", "prod", "--yes"], ""), 6, "no access key in plain text");
    let shown = home.run(&["access-key", "import", "--all", "--dry-run"], "");
    assert!(shown.stdout.contains("-aws_secret_access_key = (secret)") && !shown.stdout.contains(secret), "{shown:?}");
    home.run(&["lock"], "").good();
    says(&home.run(&["access-key", "import", "--all", "--yes"], ""), 3, "locked");
    home.unlock().good();
    let done = home.run(&["access-key", "import", "--all", "--yes"], "");
    says(&done, 0, "of profile dev is stored as dev");
    says(&done, 0, "of profile my key is stored as dev");
    says(&done, 0, "left as it is: session");
    assert!(!done.stderr.contains(secret) && !done.stdout.contains(secret));
    for (name, text) in home.files() {
        assert!(!text.contains(secret), "{name}");
    }
    let left = home.text(".aws/credentials");
    assert!(left.contains("# of the console\n[dev]\nregion = eu-central-1\n") && !left.contains("my key"), "{left}");
    assert!(left.contains("[session]\naws_access_key_id = ASIA"), "{left}");
    assert!(home.text("config/profiles").contains("[profile \"my key\"]\nclaviger_access_key = dev\n"));
    let rows: Value = serde_json::from_str(&home.run(&["access-key", "list", "--json"], "").good()).expect("JSON");
    assert_eq!(
        (rows.as_array().map(Vec::len), &rows[0]["user"]),
        (Some(1), &"arn:aws:iam::123456789012:user/ada".into())
    );
    for profile in ["dev", "my key", "prod"] {
        home.run(&["process", profile], "").good();
    }
    // A key that AWS refuses is not stored, and its lines stay.
    let before = format!("{left}[wrong]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = {secret}\n");
    home.write(".aws/credentials", &before);
    assert_eq!(home.run(&["access-key", "import", "wrong", "--yes"], "").exit, Some(5));
    assert_eq!(home.text(".aws/credentials"), before);
    home.run(&["access-key", "import", "wrong", "--yes", "--no-verify", "--name", "other"], "").good();
    assert!(home.text("config/profiles").contains("claviger_access_key = other\n"));
}

/// The agent is killed while it changes the files, at every write-like call in turn: each file is old or new, the
/// profile serves, and the same command goes on to the end.
#[test]
fn a_kill_in_the_middle_leaves_each_file_old_or_new() {
    let sandbox = Sandbox::start();
    let home = ready(&sandbox);
    let old = home.files();
    home.run(&["profile", "adopt", "prod", "--yes"], "").good();
    let new = home.files();
    home.run(&["profile", "release", "prod", "--yes"], "").good();
    assert_eq!(home.files(), old);
    home.run(&["agent", "stop"], "").good();
    let mut interrupted = 0;
    for call in ["rename,renameat,renameat2", "fsync", "fchmod", "unlink,unlinkat"] {
        for when in 1..=4 {
            let mut command = std::process::Command::new("strace");
            command.args(["-f", "-qq", "-o", "/dev/null", "-P"]).arg(home.file(".aws/config"));
            for name in
                [".aws/config.claviger-new", "config/profiles", "config/profiles.claviger-new", ".aws", "config"]
            {
                command.arg("-P").arg(home.file(name));
            }
            command.arg("-e").arg(format!("inject={call}:signal=KILL:when={when}"));
            command.arg(crate::home::program("claviger-agent")).args(["run", "--detached"]);
            command
                .env_clear()
                .env("CLAVIGER_HOME", home.path())
                .env("PATH", "/usr/bin:/bin")
                .stderr(std::process::Stdio::null());
            let mut agent = crate::home::Agent::spawn(&mut command);
            assert_eq!(agent.word(), "ready");
            home.unlock().good();
            let ended = home.run(&["profile", "adopt", "prod", "--yes"], "");
            interrupted += usize::from(ended.exit != Some(0));
            if let Some(pid) = crate::wire::Wire::try_pid(&home.file("run/agent.sock")) {
                crate::home::kill(pid);
            }
            agent.wait();
            let known = |(name, text): &(String, String)| {
                let in_one = |files: &[(String, String)]| files.iter().any(|(n, t)| n == name && t == text);
                name.ends_with(".claviger-new") || in_one(&old) || in_one(&new)
            };
            assert!(home.files().iter().all(known), "{call} {when}: {:?}", home.files());
            home.unlock().good();
            home.run(&["process", "prod"], "").good();
            let again = home.run(&["profile", "adopt", "prod", "--yes"], "");
            assert!(again.exit == Some(0) || again.stderr.contains("is adopted already"), "{call} {when}: {again:?}");
            assert_eq!(home.files(), new, "{call} {when}");
            home.run(&["profile", "release", "prod", "--yes"], "").good();
            assert_eq!(home.files(), old, "{call} {when}");
            home.run(&["agent", "stop"], "").good();
        }
    }
    assert!(interrupted >= 6, "{interrupted}");
}
