//! `claviger env`: what each shell has after it.

use crate::agent::Home;
use crate::no_request;
use crate::program::{OnTerminal, ended, run, shell};
use claviger::secret::SecretText;
use claviger::wire::{Code, Credentials, Explanation, Fault, Reply, Request};

fn serve(home: &Home) {
    home.serve("run", |request, _| match request {
        Request::ProfileExplain { profile } => Ok(Reply::Explanation(Explanation {
            profile: profile.clone(),
            refreshing: Vec::new(),
            frozen: Vec::new(),
            notes: vec!["frozen: spends one code for each use".to_owned(), "another note".to_owned()],
        })),
        Request::Credentials { profile, .. } if profile == "locked" => {
            Err(Fault::new(Code::VaultLocked, "the vault is locked"))
        }
        Request::Credentials { frozen: true, wait: 120, .. } => Ok(Reply::Credentials(Credentials {
            access_key_id: "ASIAIOSFODNN7EXAMPLE".parse().expect("an id"),
            secret_access_key: SecretText::from_text("it's $HOME\\".to_owned()),
            session_token: SecretText::from_text("a/b+c==".to_owned()),
            expiration: "2026-11-22T01:00:00Z".to_owned(),
            account_id: None,
            region: Some("eu-central-1".parse().expect("a region")),
        })),
        other => no_request(other),
    });
}

const SAID: &str =
    "prod: spends one code for each use\nThese credentials end at 2026-11-22 01:00 UTC and are not renewed.\n";

#[test]
fn stdout_is_lines_for_the_shell_and_stderr_says_what_they_cost() {
    let home = Home::new();
    serve(&home);
    let page = "\
export AWS_ACCESS_KEY_ID='ASIAIOSFODNN7EXAMPLE';
export AWS_SECRET_ACCESS_KEY='it'\\''s $HOME\\';
export AWS_SESSION_TOKEN='a/b+c==';
export AWS_CREDENTIAL_EXPIRATION='2026-11-22T01:00:00Z';
export AWS_REGION='eu-central-1';
export AWS_DEFAULT_REGION='eu-central-1';
export CLAVIGER_PROFILE='prod';
";
    assert_eq!(run(&home, &["env", "prod", "--shell", "bash"], ""), ended(0, page, SAID));
    let stale = shell(&home, "AWS_PROFILE=x AWS_SESSION_TOKEN=x AWS_REGION=x \"$claviger\" env prod --shell bash");
    assert_eq!(stale, ended(0, &format!("unset AWS_PROFILE;\n{page}"), SAID));
    let json = run(&home, &["env", "prod", "--shell", "json", "--region", "us-west-2"], "");
    let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(
        json,
        serde_json::json!({
            "AWS_ACCESS_KEY_ID": "ASIAIOSFODNN7EXAMPLE",
            "AWS_CREDENTIAL_EXPIRATION": "2026-11-22T01:00:00Z",
            "AWS_DEFAULT_REGION": "us-west-2",
            "AWS_REGION": "us-west-2",
            "AWS_SECRET_ACCESS_KEY": "it's $HOME\\",
            "AWS_SESSION_TOKEN": "a/b+c==",
            "CLAVIGER_PROFILE": "prod",
        })
    );
    let locked =
        ended(3, "", "locked: spends one code for each use\nclaviger: the vault is locked\nhint: claviger unlock\n");
    assert_eq!(run(&home, &["env", "locked"], ""), locked);
    // Nothing is asked for what could not be written down.
    let unwritable =
        "claviger: the value of CLAVIGER_PROFILE cannot be written in the form dotenv\nhint: claviger env --help\n";
    assert_eq!(run(&home, &["env", "it's", "--shell", "dotenv"], ""), ended(2, "", unwritable));
}

#[test]
fn every_shell_reads_it_and_unset_takes_it_away() {
    let home = Home::new();
    serve(&home);
    let print = "echo \"[$AWS_SECRET_ACCESS_KEY][$AWS_PROFILE]\"";
    let eval = |flags: &str| format!("eval \"$(\"$claviger\" env {flags} 2>/dev/null)\"");
    let script = format!("{}; {print}; {}; {print}", eval("prod"), eval("--unset"));
    let fish = "\"$claviger\" env prod 2>/dev/null | source; echo \"[$AWS_SECRET_ACCESS_KEY][$AWS_PROFILE]\"; \
                \"$claviger\" env --unset | source; echo \"[$AWS_SECRET_ACCESS_KEY][$AWS_PROFILE]\"";
    let mut found = 0;
    for (name, script) in [("bash", script.as_str()), ("sh", &script), ("zsh", &script), ("fish --no-config", fish)] {
        std::fs::write(home.path().join("script"), script).expect("a script");
        // The shell that asks is known by its own name, whatever SHELL says.
        let run = format!(
            "command -v {} >/dev/null || exit 99; AWS_PROFILE=x SHELL=/bin/csh {name} ./script",
            name.split(' ').next().expect("a name")
        );
        let got = shell(&home, &run);
        if got.exit != 99 {
            found += 1;
            assert_eq!(got, ended(0, "[it's $HOME\\][]\n[][]\n", ""), "{name}");
        }
    }
    assert!(found >= 2, "bash and sh are everywhere");
    assert_eq!(shell(&home, "\"$claviger\" env --unset --shell dotenv").exit, 2);
    let nulls = run(&home, &["env", "--unset", "--shell", "json"], "");
    assert!(nulls.stdout.contains("\"AWS_ACCESS_KEY_ID\": null"), "{}", nulls.stdout);
}

#[test]
fn a_shell_under_exec_is_cleaned_too() {
    let home = Home::new();
    home.serve("run", |request, _| match request {
        Request::EndpointOpen { kind, .. } => Ok(Reply::Endpoint(claviger::wire::OpenEndpoint {
            url: format!("http://127.0.0.1:1/{kind:?}"),
            token: Some(SecretText::from_text("t".to_owned())),
            token_file: None,
            region: None,
        })),
        Request::ProfileShow { .. } => Ok(Reply::Settings(Vec::new())),
        other => no_request(other),
    });
    let unset = shell(&home, "\"$claviger\" exec prod -- \"$claviger\" env --unset --shell bash");
    for name in ["AWS_SHARED_CREDENTIALS_FILE", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "CLAVIGER_PROFILE"]
    {
        assert!(unset.stdout.contains(&format!("unset {name};\n")), "{name}: {unset:?}");
    }
}

#[test]
fn on_a_terminal_it_warns_of_what_is_shown() {
    let home = Home::new();
    serve(&home);
    // stdout is no terminal: no warning.
    let piped = OnTerminal::start(&home, &["env", "prod", "--shell", "bash"]).end();
    assert_eq!(piped.stderr, SAID.replace('\n', "\r\n"));
    let mut shown = OnTerminal::start_all(&home, &["env", "prod", "--shell", "fish"]);
    shown.wait_for("What follows is secret. To keep it off the screen: claviger env PROFILE | source\r\n");
    shown.wait_for("set -gx AWS_ACCESS_KEY_ID 'ASIAIOSFODNN7EXAMPLE';\r\n");
    assert_eq!(shown.end().exit, 0);
}
