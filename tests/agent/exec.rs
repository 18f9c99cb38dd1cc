//! `claviger exec --env` and `claviger env` with the real agent: whose credentials they are, how long they last, what they cost.

use crate::home::Home;
use crate::sandbox::Sandbox;
use serde_json::Value;

const LONG: &str = "\
[profile prod]
role_arn = arn:aws:iam::123456789012:role/prod-admin
source_profile = dev
region = eu-central-1
s3 =
  max_concurrent_requests = 3
[profile long]
role_arn = arn:aws:iam::123456789012:role/prod-admin
source_profile = dev
duration_seconds = 7200
[profile long-chain]
role_arn = arn:aws:iam::123456789012:role/audit-read
source_profile = prod
duration_seconds = 7200
[profile dev]
region = us-west-2
";

fn ready() -> (Sandbox, Home) {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &["--no-verify"]);
    home.write("config/profiles", LONG);
    (sandbox, home)
}

/// `env --shell json` as it is, without its talk.
fn variables(home: &Home, profile: &str) -> Value {
    serde_json::from_str(&home.run(&["env", profile, "--shell", "json"], "").good()).expect("JSON")
}

#[test]
fn a_role_and_a_base_profile_are_handed_over_from_one_code() {
    let (sandbox, home) = ready();
    let role = variables(&home, "prod");
    assert_eq!(
        (role["AWS_REGION"].as_str(), role["AWS_ACCOUNT_ID"].as_str()),
        (Some("eu-central-1"), Some("123456789012"))
    );
    let base = variables(&home, "dev");
    assert_eq!((base["AWS_REGION"].as_str(), base["CLAVIGER_PROFILE"].as_str()), (Some("us-west-2"), Some("dev")));
    assert_ne!(role["AWS_ACCESS_KEY_ID"], base["AWS_ACCESS_KEY_ID"]);
    assert_eq!((sandbox.codes(), sandbox.calls("GetSessionToken"), sandbox.calls("AssumeRole")), (1, 1, 1));
    // The child has the very same, and process too: one session.
    let print = [
        "exec",
        "prod",
        "--env",
        "--",
        "printenv",
        "AWS_ACCESS_KEY_ID",
        "AWS_SESSION_TOKEN",
        "AWS_CREDENTIAL_EXPIRATION",
    ];
    let child = home.run(&print, "");
    assert_eq!(child.stderr, "");
    let wanted = ["AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_CREDENTIAL_EXPIRATION"]
        .map(|name| role[name].as_str().expect("text"));
    assert_eq!(child.good(), wanted.join("\n") + "\n");
    assert!(home.run(&["process", "prod"], "").good().contains(wanted[0]));
    assert_eq!(sandbox.calls("AssumeRole"), 1);
}

#[test]
fn longer_than_an_hour_costs_a_code_of_its_own_and_says_so() {
    let (sandbox, home) = ready();
    home.run(&["login", "prod"], "").good();
    let before = sandbox.codes();
    let explained = home.run(&["profile", "explain", "long"], "").good();
    assert!(explained.contains("note: frozen: spends one code"), "{explained}");
    let refreshing: Value = serde_json::from_str(&home.run(&["process", "long"], "").good()).expect("JSON");
    let ended = home.run(&["env", "long", "--shell", "json"], "");
    let said = "long: spends one code for each use: it cannot share the MFA session and last longer than 1 h\n";
    assert!(ended.stderr.starts_with(said), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("waiting ") && ended.stderr.ends_with(" UTC and are not renewed.\n"),
        "{}",
        ended.stderr
    );
    let frozen: Value = serde_json::from_str(&ended.good()).expect("JSON");
    assert_eq!(sandbox.codes(), before + 1);
    let end = |text: &Value| text.as_str().expect("a time").to_owned();
    assert!(end(&frozen["AWS_CREDENTIAL_EXPIRATION"]) > end(&refreshing["Expiration"]), "two hours, not one");
    let chain = home.run(&["exec", "long-chain", "--env", "--", "true"], "");
    assert_eq!((chain.exit, chain.stdout.as_str()), (Some(125), ""), "{}", chain.stderr);
    assert_eq!(sandbox.codes(), before + 1, "a refusal costs nothing");
}

#[test]
fn a_locked_vault_is_opened_by_the_passphrase_given_and_a_child_sees_the_rest() {
    let (_sandbox, home) = ready();
    home.run(&["lock"], "").good();
    let locked = home.run(&["exec", "prod", "--env", "--", "true"], "");
    assert_eq!((locked.exit, locked.stderr.contains("the vault is locked")), (Some(125), true), "{}", locked.stderr);
    let stdin = format!("{}the rest\n", crate::home::PASSPHRASE);
    let opened = home.run(&["exec", "prod", "--env", "--passphrase-fd", "0", "--", "cat"], &stdin);
    assert_eq!(opened.good(), "the rest\n");
    let unknown = home.run(&["exec", "prdo", "--env", "--", "true"], "");
    assert!(unknown.exit == Some(125) && unknown.stderr.contains("near it: prod"), "{unknown:?}");
}

#[test]
fn the_settings_of_a_profile_are_shown_in_the_form_that_the_stand_in_takes() {
    let (_sandbox, home) = ready();
    let settings: Value =
        serde_json::from_str(&home.run(&["profile", "show", "prod", "--json"], "").good()).expect("JSON");
    let nested = settings.as_array().expect("rows").iter().find(|row| row["key"] == "s3").expect("s3");
    assert_eq!(nested["value"], "\nmax_concurrent_requests = 3");
}
