//! What takes effect only as accepted: security settings and the role of a profile.

use crate::home::{Home, PASSPHRASE};
use crate::sandbox::Sandbox;
use serde_json::Value;
use std::net::TcpListener;

const BY_PASSPHRASE: [&str; 2] = ["--passphrase-fd", "0"];
/// Another role of the sandbox that the access key may assume.
const OTHER_ROLE: &str = "arn:aws:iam::123456789012:role/plain";

/// Listens, never answers, and counts who comes.
struct Stranger(TcpListener);

impl Stranger {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("nonblocking");
        Self(listener)
    }

    fn address(&self) -> String {
        self.0.local_addr().expect("an address").to_string()
    }

    /// Those that came since the last look.
    fn visits(&self) -> usize {
        std::iter::from_fn(|| self.0.accept().ok()).count()
    }
}

fn accept(home: &Home, what: &[&str]) -> crate::home::Ended {
    home.run(&[&["config", "accept"][..], what, &BY_PASSPHRASE].concat(), PASSPHRASE)
}

/// Ended with this exit code and words, nothing on stdout.
fn refused(ended: &crate::home::Ended, exit: i32, words: &str) {
    assert!(ended.exit == Some(exit) && ended.stdout.is_empty() && ended.stderr.contains(words), "{ended:?}");
}

fn view(home: &Home) -> Value {
    serde_json::from_str(&home.run(&["config", "show", "--json"], "").good()).expect("JSON")
}

fn config(home: &Home) -> String {
    std::fs::read_to_string(home.file("config/config.toml")).expect("a file")
}

fn warnings(home: &Home) -> String {
    home.status()["warnings"].to_string()
}

/// Everything that calls AWS anew.
fn call(home: &Home) -> crate::home::Ended {
    let _ = home.run(&["logout", "plain"], "");
    home.run(&["process", "plain", "--wait", "30"], "")
}

#[test]
fn an_edited_endpoint_is_not_called_until_it_is_accepted() {
    let (sandbox, stranger) = (Sandbox::start(), Stranger::new());
    let home = Home::ready(&sandbox, &[]);
    call(&home).good();
    let good = config(&home);
    let edited = good.replace(sandbox.text("endpoint"), &format!("http://{}", stranger.address()));
    assert_ne!(edited, good);
    home.write("config/config.toml", &edited);
    call(&home).good();
    assert!(warnings(&home).contains("claviger config accept"), "{}", warnings(&home));
    assert_eq!(stranger.visits(), 0);

    home.run(&["agent", "restart"], "").good();
    home.unlock().good();
    call(&home).good();
    assert!(warnings(&home).contains("claviger config accept"), "{}", warnings(&home));
    assert_eq!(stranger.visits(), 0, "a restart accepts nothing");

    let wrong = home.run(&["config", "accept", "--passphrase-fd", "0"], "wrong\n");
    assert_eq!(wrong.exit, Some(5), "{wrong:?}");
    assert!(wrong.stderr.contains(&stranger.address()), "the difference is shown first: {wrong:?}");
    call(&home).good();
    assert_eq!(stranger.visits(), 0);

    home.run(&["lock"], "").good();
    // After a wrong guess the next one waits a second.
    let mut accepted = accept(&home, &[]);
    while accepted.stderr.contains("wrong guess") {
        accepted = accept(&home, &[]);
    }
    let shown = accepted.stderr.clone();
    accepted.good();
    let line = |sign: &str, url: &str| format!("  {sign} [endpoints] sts: {url}\n");
    assert!(shown.contains(&line("-", sandbox.text("endpoint"))), "{shown}");
    assert!(shown.contains(&line("+", &format!("http://{}", stranger.address()))), "{shown}");
    assert_eq!(home.status()["warnings"], serde_json::json!([]));
    // A call that needs no code, which may be spent for half a minute.
    let asked = home.run(&["access-key", "add", "second", "--stdin"], &sandbox.access_key());
    assert_eq!(asked.exit, Some(8), "{asked:?}");
    assert!(stranger.visits() >= 1, "the control");
}

#[test]
fn an_edited_proxy_is_not_asked_until_it_is_accepted() {
    let (sandbox, stranger) = (Sandbox::start(), Stranger::new());
    let home = Home::ready(&sandbox, &[]);
    let good = config(&home).replace("[endpoints]\n", "[endpoints]\n# no_proxy covers loopback always\n");
    home.write(
        "config/profiles",
        "[profile far]\nrole_arn = arn:aws:iam::123456789012:role/plain\nsource_profile = dev\n\
         endpoint_url = http://sts.invalid:8080\n",
    );
    let allowed = good.replace("allow = [", "allow = [\"http://sts.invalid:8080\", ");
    home.write("config/config.toml", &allowed);
    home.run(&["process", "far"], "").fault(5, "endpoint.not_allowed");
    accept(&home, &[]).good();
    home.run(&["process", "far", "--wait", "20"], "").fault(8, "aws.unreachable");

    home.write("config/config.toml", &format!("{allowed}[network]\nproxy = \"http://{}\"\n", stranger.address()));
    home.run(&["process", "far", "--wait", "20"], "").fault(8, "aws.unreachable");
    home.run(&["agent", "restart"], "").good();
    home.unlock().good();
    home.run(&["process", "far", "--wait", "20"], "").fault(8, "aws.unreachable");
    assert_eq!(stranger.visits(), 0);
    accept(&home, &[]).good();
    let told = home.run(&["process", "far", "--wait", "20"], "");
    told.fault(8, "aws.unreachable");
    assert!(told.stderr.contains("the proxy of [network]"), "{told:?}");
    assert!(stranger.visits() >= 1, "the control");
    // What is on this machine is reached without it.
    home.configure(&sandbox);
    home.write("config/config.toml", &format!("{good}[network]\nproxy = \"http://{}\"\n", stranger.address()));
    accept(&home, &[]).good();
    call(&home).good();
    let secret = good.clone() + "[network]\nproxy = \"http://ada:canary@proxy.example:1\"\n";
    home.write("config/config.toml", &secret);
    let told = home.run(&["config", "check"], "");
    refused(&told, 2, "no secret belongs in config.toml");
    assert!(!told.stderr.contains("canary"), "{told:?}");
}

#[test]
fn an_edited_bundle_and_edited_commands_wait_to_be_accepted() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    let good = config(&home);
    // Any certificate of the system will do.
    let system = std::fs::read_to_string("/etc/ssl/certs/ca-certificates.crt").expect("a bundle");
    let certificates: Vec<&str> = system.split_inclusive("-----END CERTIFICATE-----\n").take(2).collect();
    home.write("config/ca.pem", certificates[0]);
    let bundle = format!("{good}[network]\nca_bundle = \"{}\"\n", home.file("config/ca.pem").display());
    home.write("config/config.toml", &bundle);
    assert_eq!(view(&home)["changes"][0]["after"].as_array().map(Vec::len), Some(2), "the path and the content");
    accept(&home, &[]).good();
    assert_eq!(home.status()["warnings"], serde_json::json!([]));
    let accepted = view(&home)["settings"].clone();

    home.write("config/ca.pem", certificates[1]);
    assert!(warnings(&home).contains("claviger config accept"), "the same path, another content: {}", warnings(&home));
    assert_eq!(view(&home)["settings"], accepted, "in force is what was accepted");
    std::fs::remove_file(home.file("config/ca.pem")).expect("removed");
    assert!(warnings(&home).contains("ca_bundle"), "{}", warnings(&home));
    home.run(&["agent", "restart"], "").good();
    home.unlock().good();
    call(&home).good();
    assert_eq!(view(&home)["settings"], accepted, "the vault keeps the content");
    refused(&accept(&home, &[]), 2, "ca_bundle cannot be read");
    home.write("config/ca.pem", "no certificate\n");
    refused(&accept(&home, &[]), 2, "no certificate in PEM");

    home.write("config/config.toml", &format!("{good}[commands]\nallow = [\"/usr/bin/id\"]\n"));
    assert_eq!(view(&home)["settings"], accepted);
    let shown = accept(&home, &[]);
    assert!(shown.stderr.contains("+ [commands] allow: /usr/bin/id"), "{shown:?}");
    assert!(view(&home)["settings"].to_string().contains("/usr/bin/id"));
}

#[test]
fn a_profile_whose_role_changed_asks_and_does_so_again_after_it_was_gone() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    let profiles = std::fs::read_to_string(home.file("config/profiles")).expect("a file");
    let first: Value = serde_json::from_str(&home.run(&["process", "prod"], "").good()).expect("JSON");
    let swapped = profiles.replace("role/prod-admin", "role/plain");
    let before = sandbox.calls("AssumeRole");
    for round in 0..3 {
        home.write("config/profiles", &swapped);
        let told = home.run(&["process", "prod"], "");
        told.fault(4, "profile.changed");
        assert!(
            told.stderr.contains("role/prod-admin")
                && told.stderr.contains(OTHER_ROLE)
                && told.stderr.contains("line 2")
                && told.stderr.contains("claviger config accept prod"),
            "round {round}: {told:?}"
        );
        refused(&home.run(&["login", "prod"], ""), 4, "was first used with");
        let sick = home.run(&["doctor", "prod"], "");
        let named = sick.stdout.contains("PROBLEM  claviger    profile prod was first used with");
        assert!(sick.exit == Some(1) && named, "{sick:?}");
        assert!(home.run(&["config", "accept"], "").stderr.contains("but profiles do: claviger config show"));
        // The chain through it is another as well; it has not been used yet.
        match round {
            0 => home.write(
                "config/profiles",
                "[profile other]\nrole_arn = arn:aws:iam::123456789012:role/plain\nsource_profile = dev\n",
            ),
            1 => {
                home.run(&["agent", "restart"], "").good();
                home.unlock().good();
            }
            _ => home.write("config/profiles", &profiles),
        }
    }
    assert_eq!(sandbox.calls("AssumeRole"), before, "nothing was asked of AWS");
    let again: Value = serde_json::from_str(&home.run(&["process", "prod"], "").good()).expect("JSON");
    assert_eq!(again["AccessKeyId"], first["AccessKeyId"], "the role it had serves on");

    home.write("config/profiles", &swapped);
    let shown = accept(&home, &["prod"]);
    assert!(
        shown.stderr.contains("- role arn:aws:iam::123456789012:role/prod-admin")
            && shown.stderr.contains(&format!("+ role {OTHER_ROLE}")),
        "{shown:?}"
    );
    shown.good();
    let other: Value = serde_json::from_str(&home.run(&["process", "prod"], "").good()).expect("JSON");
    assert_ne!(other["AccessKeyId"], first["AccessKeyId"], "never a session of the old role");
    assert!(accept(&home, &["--all"]).stderr.contains("Nothing waits"));
    refused(&accept(&home, &["nope"]), 6, "no profile is named nope");

    home.write("config/profiles", &profiles);
    home.write("config/config.toml", &format!("{}[commands]\nallow = [\"/bin/true\"]\n", config(&home)));
    assert_eq!(view(&home)["changes"].as_array().map(Vec::len), Some(2));
    accept(&home, &["--all"]).good();
    assert_eq!(view(&home)["changes"].as_array().map(Vec::len), Some(0));
    home.run(&["process", "prod"], "").good();
}

#[test]
fn what_changes_between_the_look_and_the_proof_is_not_accepted() {
    let home = Home::new();
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    let write = |command: &str| {
        home.write(
            "config/config.toml",
            &format!("[vault]\nargon2_memory_mib = 64\n[commands]\nallow = [\"{command}\"]\n"),
        );
    };
    let mut wire = home.connect();
    let scope = serde_json::json!({"settings": {}});
    write("/bin/shown");
    let digest =
        wire.ask(2, &serde_json::json!({"config_show": {"scope": scope}}))["reply"]["config"]["digest"].clone();
    let request = serde_json::json!({"config_accept": {
        "proof": {"passphrase": PASSPHRASE.trim_end()}, "scope": scope, "digest": digest}});
    write("/bin/other");
    assert_eq!(wire.ask(3, &request)["fault"]["code"], "config.changed");
    assert!(!view(&home)["settings"].to_string().contains("/bin/"));
    write("/bin/shown");
    assert!(wire.ask(4, &request)["reply"]["done"].is_object(), "the control");
    assert!(view(&home)["settings"].to_string().contains("/bin/shown"));
}

#[test]
fn a_vault_without_accepted_settings_takes_those_of_the_file_once_and_says_so() {
    let sandbox = Sandbox::start();
    let vectors = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/vault");
    let home = Home::at(&sandbox);
    let expected: Value =
        serde_json::from_slice(&std::fs::read(vectors.join("expected.json")).expect("a file")).expect("JSON");
    let phrase = expected["vaults"]["passphrase.vault"]["passphrases"][0].as_str().expect("a passphrase");
    home.run(&["agent", "start"], "").good();
    std::fs::copy(vectors.join("passphrase.vault"), home.file("data/vault")).expect("a vault");
    let unlock = |home: &Home| home.run(&["unlock", "--passphrase-fd", "0"], phrase).good();
    unlock(&home);
    assert!(warnings(&home).contains("no accepted security settings"), "{}", warnings(&home));
    assert!(view(&home)["settings"].to_string().contains(sandbox.text("endpoint")));
    let edited = config(&home).replace(sandbox.text("endpoint"), "http://127.0.0.1:1");
    home.run(&["agent", "stop"], "").good();
    home.write("config/config.toml", &edited);
    unlock(&home);
    let told = warnings(&home);
    assert!(told.contains("claviger config accept") && !told.contains("no accepted"), "{told}");
    assert!(view(&home)["settings"].to_string().contains(sandbox.text("endpoint")));
}

#[test]
fn the_harmless_settings_take_effect_at_once_and_a_mistake_keeps_the_old_ones() {
    let home = Home::new();
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    let base = "[vault]\nargon2_memory_mib = 64\n";
    home.write("config/config.toml", &format!("{base}[lock]\nidle = \"10m\"\n"));
    let left = |home: &Home| home.status()["idle_lock_in"].as_u64().expect("seconds");
    assert!(left(&home) <= 600);
    home.write("config/config.toml", &format!("{base}[lock]\nidle = \"canary\"\n"));
    let told = warnings(&home);
    assert!(told.contains("line 4") && told.contains("claviger config check") && !told.contains("canary"), "{told}");
    assert!(left(&home) <= 600);
    let pid = home.pid();
    refused(&home.run(&["config", "check"], ""), 2, "line 4");
    refused(&accept(&home, &[]), 2, "line 4");
    home.write("config/config.toml", base);
    assert!(left(&home) > 600);
    assert!(home.run(&["config", "check"], "").good().contains("no mistake"));
    assert_eq!((home.status()["warnings"].clone(), home.pid()), (serde_json::json!([]), pid));
    // Without an agent a mistake is told by the start that it prevents.
    home.run(&["agent", "stop"], "").good();
    home.write("config/config.toml", "[lock]\nidle = 1\n");
    refused(&home.run(&["config", "check"], ""), 2, "line 2");
    home.write("config/config.toml", base);
    assert!(home.run(&["config", "check"], "").good().contains("once the vault is open"));
}

#[test]
fn a_pin_that_cannot_be_saved_takes_no_credentials_away() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    let profiles = std::fs::read_to_string(home.file("config/profiles")).expect("a file");
    // The vault is written beside itself: a folder of that name stops it.
    std::fs::create_dir(home.file("data/vault.new")).expect("a folder");
    std::fs::write(home.file("data/vault.new/x"), "").expect("a file");
    home.run(&["process", "prod"], "").good();
    assert!(warnings(&home).contains("not in the vault yet"), "{}", warnings(&home));
    home.write("config/profiles", &profiles.replace("role/prod-admin", "role/plain"));
    home.run(&["process", "prod"], "").fault(4, "profile.changed");
    std::fs::remove_dir_all(home.file("data/vault.new")).expect("removed");
    home.run(&["lock"], "").good();
    home.unlock().good();
    assert_eq!(home.status()["warnings"], serde_json::json!([]));
    home.kill_agent();
    let mut agent = home.start();
    home.unlock().good();
    home.run(&["process", "prod"], "").fault(4, "profile.changed");
    agent.kill();
}
