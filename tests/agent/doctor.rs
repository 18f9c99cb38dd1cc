//! `doctor` over real files: what wins, what is in the way, and what is as it should be.

use crate::home::{Ended, Home, PASSPHRASE, program};
use crate::sandbox::Sandbox;
use claviger::model::SlotProof;
use claviger::secret::{Passphrase, SecretText};
use claviger_agent::vault::Custody;
use claviger_agent::world::{WallTime, World};
use serde_json::Value;

fn findings(ended: &Ended) -> Vec<(String, String, String)> {
    let rows: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    rows.as_array()
        .expect("rows")
        .iter()
        .map(|row| (text(row, "topic"), text(row, "level"), text(row, "text")))
        .collect()
}

fn level(ended: &Ended, topic: &str) -> String {
    let found = findings(ended);
    let (_, level, _) = found.iter().find(|(found, ..)| found == topic).unwrap_or_else(|| panic!("{topic}: {found:?}"));
    level.clone()
}

const FAMILIES: [&str; 5] = ["botocore", "Go", "Java", "JavaScript", "Rust"];

#[test]
fn a_profile_that_asks_claviger_is_well_and_what_shadows_it_is_named() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    home.write("empty", "");
    let stub = format!("[profile tools]\ncredential_process = \"{}\" process prod\n", program("claviger").display());
    let configure = |config: &str, credentials: &str| {
        home.write(".aws/config", config);
        home.write(".aws/credentials", credentials);
        home.set_mode(".aws/credentials", 0o600);
    };
    configure(&stub, "");
    let doctor = |arguments: &[&str]| home.run(&[&["doctor", "--json"], arguments].concat(), "");
    let well = doctor(&["tools", "--live"]);
    assert_eq!(well.exit, Some(0), "{well:?}");
    for family in FAMILIES {
        assert_eq!(level(&well, family), "ok", "{family}");
    }
    let live = findings(&well).into_iter().find(|(topic, ..)| topic == "live").expect("asked STS");
    assert!(live.2.contains("assumed-role/"), "{live:?}");

    // A role under the same name wins over credential_process everywhere.
    configure(&format!("{stub}role_arn = arn:aws:iam::123456789012:role/x\nsource_profile = dev\n"), "");
    let shadowed = doctor(&["tools"]);
    assert_eq!(shadowed.exit, Some(1));
    for family in FAMILIES {
        assert_eq!(level(&shadowed, family), "problem", "{family}");
    }
    // Keys in the credentials file, by tool; and they stand in plain text.
    configure(&stub, "[tools]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = canary\n");
    let keys = doctor(&["tools"]);
    let levels = FAMILIES.map(|family| level(&keys, family));
    assert_eq!(levels, ["problem", "problem", "ok", "problem", "ok"]);
    assert!(keys.stdout.contains("in plain text") && !keys.stdout.contains("canary"), "{}", keys.stdout);
    home.set_mode(".aws/credentials", 0o644);
    assert!(doctor(&[]).stdout.contains("can be read by others"));

    // A bare name is found by a shell, not by a program that the desktop started.
    configure("[profile tools]\ncredential_process = claviger process prod\n", "");
    let bare = doctor(&["tools"]);
    assert!(bare.stdout.contains("without its folder"), "{}", bare.stdout);
    configure("[profile tools]\ncredential_process = /nowhere/claviger process prod\n", "");
    assert!(doctor(&["tools"]).stdout.contains("not there"));
}

#[test]
fn what_the_shell_says_and_config_does_not_is_told_with_the_line_to_add() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    let mut command = home.command("claviger");
    command.args(["doctor"]).env("HTTPS_PROXY", "http://proxy.example:3128").env("AWS_CA_BUNDLE", "/etc/corp.pem");
    command.env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE").env("AWS_SECRET_ACCESS_KEY", "canary").arg("dev");
    let ended = crate::home::run(&mut command, "");
    for line in ["proxy = \"http://proxy.example:3128\"", "ca_bundle = \"/etc/corp.pem\"", "unset AWS_ACCESS_KEY_ID"] {
        assert!(ended.stdout.contains(line), "{line}: {}", ended.stdout);
    }
    assert!(!ended.stdout.contains("canary"));
    let mut secret = home.command("claviger");
    let ended =
        crate::home::run(secret.args(["doctor"]).env("HTTPS_PROXY", "http://ada:canary@proxy.example:3128"), "");
    assert!(ended.stdout.contains("$HTTPS_PROXY") && !ended.stdout.contains("canary"), "{}", ended.stdout);
}

#[test]
fn an_access_key_of_ninety_days_is_told_of_with_what_to_type() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    let told = |home: &Home| {
        let ended = home.run(&["doctor", "--json"], "");
        let rows: Value = serde_json::from_str(&ended.stdout).expect("JSON");
        let rows = rows.as_array().expect("rows").iter();
        rows.filter(|row| row["text"].as_str().is_some_and(|text| text.starts_with("access key")))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&home), [] as [Value; 0], "a new one is not");
    home.run(&["agent", "stop"], "").good();
    let world = World::real();
    let now = world.clock.wall();
    let custody = Custody::new(world, home.file("data"), home.file("data/state"));
    let passphrase = Passphrase::from_text(PASSPHRASE.trim_end().to_owned());
    custody.unlock(&SlotProof::Passphrase(passphrase), now).expect("unlocked");
    let aged = custody.edit(now, |items| {
        for key in items.access_keys.values_mut() {
            key.added = WallTime(now.0 - 90 * 86_400_000);
        }
        Ok::<_, claviger_agent::vault::Error>(())
    });
    aged.expect("saved");
    drop(custody);
    home.unlock().good();
    let wanted = serde_json::json!({
        "topic": "agent",
        "level": "warning",
        "text": "access key dev is 90 days old",
        "hint": "claviger access-key rotate dev",
    });
    assert_eq!(told(&home), [wanted]);
    home.run(&["access-key", "rotate", "dev"], "").good();
    assert_eq!(told(&home), [] as [Value; 0]);
}

#[test]
fn it_says_what_it_can_where_nothing_is_set_up_or_the_agent_cannot_start() {
    let home = Home::new();
    let ended = home.run(&["doctor"], "");
    assert_eq!(ended.exit, Some(1));
    assert!(
        ended.stdout.contains("there is no vault yet") && ended.stdout.contains("claviger init"),
        "{}",
        ended.stdout
    );
    home.run(&["agent", "stop"], "").good();
    home.write("config/config.toml", "[mfa]\nsession = \"40h\"\n");
    let ended = home.run(&["doctor"], "");
    assert_eq!(ended.exit, Some(1));
    assert!(ended.stdout.contains("[mfa] session is 30m to 36h"), "{}", ended.stdout);
}
