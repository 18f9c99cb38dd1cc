//! EC2 key pairs against the sandbox: what AWS makes goes into the vault and nowhere else, what is imported is there once,
//! a rotation loses nothing wherever it ends, and passwords are decrypted.

use crate::home::{Ended, Home, PASSPHRASE, kill};
use crate::needles::Needles;
use crate::sandbox::Sandbox;
use crate::terminal::OnTerminal;
use serde_json::{Value, json};
use std::path::Path;

/// The profile of the demo world that may do all of it, and its region.
const PROFILE: [&str; 2] = ["--profile", "prod"];
const REGION: &str = "eu-central-1";
/// Where the demo world has instances, and the one with a password.
const INSTANCES: &str = "us-east-1";
const WINDOWS: &str = "i-0a11ce0000000003c";
const LINUX: &str = "i-0a11ce0000000001a";

impl Home {
    /// A verb of `keypair`, as the profile.
    fn keypair(&self, words: &[&str]) -> Ended {
        self.run(&[&["keypair"], words, &PROFILE].concat(), "")
    }

    /// The list of these regions, and how it ended.
    fn keypairs(&self, regions: &[&str]) -> (Value, Option<i32>) {
        let named: Vec<&str> = regions.iter().flat_map(|region| ["--region", region]).collect();
        let ended = self.keypair(&[&["list", "--json"], named.as_slice()].concat());
        (serde_json::from_str(&ended.stdout).unwrap_or(Value::Null), ended.exit)
    }

    /// The row of a pair.
    fn row(&self, region: &str, name: &str) -> Value {
        let (listed, _) = self.keypairs(&[region]);
        let rows = listed["keypairs"].as_array().expect("rows").clone();
        rows.into_iter().find(|row| row["name"] == name).unwrap_or(Value::Null)
    }

    fn names_of_keys(&self) -> Vec<String> {
        let listed: Value = serde_json::from_str(&self.run(&["ssh-key", "list", "--json"], "").good()).expect("JSON");
        let rows = listed.as_array().expect("rows");
        rows.iter().map(|row| row["name"].as_str().expect("a name").to_owned()).collect()
    }

    fn trash(&self) -> String {
        self.run(&["trash", "list"], "").good()
    }

    /// The key that the demo world's instances were launched with.
    fn add_launch_key(&self) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sandbox/src/world/demo-launch-key.pem");
        self.run(&["ssh-key", "add", "ada-launch", file.to_str().expect("a path")], "").good();
    }
}

fn ready() -> (Sandbox, Home) {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    (sandbox, home)
}

fn vault_key(name: &str) -> Value {
    json!([{"vault": name}])
}

#[test]
fn what_aws_makes_is_in_the_vault_and_matches_what_aws_has() {
    let (sandbox, home) = ready();
    for (name, kind, start) in [("web", "ed25519", "ssh-ed25519 "), ("desk", "rsa", "ssh-rsa ")] {
        let line = home.keypair(&["create", name, "--type", kind, "--tag", "team=web"]).good();
        assert!(line.starts_with(start) && line.ends_with(&format!(" {name}\n")), "{line}");
        let row = home.row(REGION, name);
        assert_eq!((&row["keys"], &row["kind"], &row["tags"]["team"]), (&vault_key(name), &json!(kind), &json!("web")));
        assert_eq!(row["tags"]["claviger:attempt"], "done");
        assert_eq!(home.run(&["ssh-key", "public", name], "").good(), line);
    }
    let stored: Vec<u8> = home.data().into_iter().flat_map(|(_, bytes)| bytes).collect();
    assert!(!String::from_utf8_lossy(&stored).contains("PRIVATE KEY"));
    let pem = home.run(&["ssh-key", "export", "desk", "--format", "pkcs1", "--passphrase-fd", "0"], PASSPHRASE).good();
    assert!(pem.starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
    assert!(Needles::of(&pem.as_bytes()[100..160]).find(&stored).is_none());

    let exists = home.keypair(&["create", "web"]);
    assert!(exists.stderr.contains("hint: claviger keypair import web"), "{exists:?}");
    exists.fault_told(5, "an ssh key is stored as web already");
    let exists = home.keypair(&["create", "new", "--key", "web", "--region", "eu-west-1"]);
    assert!(exists.stderr.contains("hint: claviger keypair import new --key web --region eu-west-1"), "{exists:?}");
    home.keypair(&["create", "web", "--key", "other"]).fault_told(5, "key pair web has another key in eu-central-1");
    assert_eq!(home.names_of_keys(), ["desk", "web"], "what was refused left nothing");
    let named = home.keypair(&["create", "two words"]);
    assert!(named.stderr.contains("hint: claviger keypair create NAME --key KEY"), "{named:?}");
    named.fault_told(2, "the vault cannot have a key of the pair's name");
    home.keypair(&["create", "web2", "--tag", "aws:x=1"]).fault_told(2, "the key of a tag begins neither");
    home.run(&["keypair", "create", "web3", "--profile", "plain"], "").fault_told(2, "names no region");
    assert_eq!(sandbox.calls("CreateKeyPair"), 3);
}

#[test]
fn a_lost_answer_leaves_no_pair_that_nobody_has_the_key_of() {
    let (sandbox, home) = ready();
    for (kind, words) in [
        (json!({"reset": {"done": true}}), "connection ended early"),
        (json!({"truncate": 300}), "connection ended early"),
        (json!({"missing_field": "keyMaterial"}), "not one that AWS gives"),
    ] {
        sandbox.fault("CreateKeyPair", 1, &kind);
        home.keypair(&["create", "web"]).fault_told(8, words);
        assert_eq!((home.row(REGION, "web"), home.names_of_keys().len()), (Value::Null, 0), "{kind}");
    }
    // Nor where what it left cannot be looked for: then it is said, with the way out.
    sandbox.fault("CreateKeyPair", 1, &json!({"reset": {"done": true}}));
    sandbox.fault("DescribeKeyPairs", 1, &json!("wrong_xml"));
    home.keypair(&["create", "web"]).fault_told(1, "claviger keypair delete web --region eu-central-1");
    // The next attempt finds it by its tag.
    assert_eq!(home.row(REGION, "web")["keys"], json!([]));
    home.keypair(&["create", "web"]).good();
    assert_eq!(home.row(REGION, "web")["keys"], vault_key("web"));
}

#[test]
fn a_crash_after_aws_has_made_it_is_put_right_by_the_next_attempt() {
    let (sandbox, home) = ready();
    home.keypair(&["list"]).good();
    // AWS has made it, the answer is lost, and what was made is being looked for.
    sandbox.fault("CreateKeyPair", 1, &json!({"reset": {"done": true}}));
    sandbox.fault("DescribeKeyPairs", 1, &json!("hang"));
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| home.keypair(&["create", "web"]));
        sandbox.wait_hanging(1);
        home.kill_agent();
        sandbox.release();
        assert_ne!(asked.join().expect("no panic").exit, Some(0));
    });
    home.unlock().good();
    assert_eq!(home.row(REGION, "web")["keys"], json!([]), "a pair that nobody has the key of");
    home.keypair(&["create", "web"]).good();
    assert_eq!(home.row(REGION, "web")["keys"], vault_key("web"));
}

#[test]
fn a_key_is_imported_into_many_regions_once() {
    let (sandbox, home) = ready();
    home.run(&["ssh-key", "new", "deploy"], "").good();
    let regions = ["--region", REGION, "--region", INSTANCES, "--region", "eu-west-1"];
    let import = |words: &[&str]| home.keypair(&[&["import", "deploy"], words].concat());
    let done = import(&[&regions[..], &["--tag", "owner=ada"]].concat());
    assert_eq!((done.exit, done.stderr.matches(": imported (key-").count()), (Some(0), 3), "{}", done.stderr);
    let row = home.row(INSTANCES, "deploy");
    assert_eq!(
        (&row["keys"], &row["tags"], &row["kind"]),
        (&vault_key("deploy"), &json!({"owner": "ada"}), &json!("ed25519"))
    );
    assert!(!done.stderr.contains("its tags stay"), "{}", done.stderr);
    let again = import(&["--all-regions", "--tag", "owner=eve"]);
    assert!(again.exit == Some(0) && again.stderr.contains("its tags stay as they were"), "{again:?}");
    assert_eq!(home.row(INSTANCES, "deploy")["tags"], json!({"owner": "ada"}));
    assert_eq!(again.stderr.matches("stands there already").count(), 3);
    assert_eq!(again.stderr.matches(": imported (key-").count(), 14);
    let ended = home.keypair(&["list", "--all-regions", "--json"]);
    let listed: Value = serde_json::from_str(&ended.good()).expect("JSON");
    let matched = listed["keypairs"].as_array().expect("rows").iter().filter(|row| row["keys"] == vault_key("deploy"));
    assert_eq!((matched.count(), listed["regions"].as_array().map(Vec::len)), (17, Some(17)));

    // Another key of that name: where it stands it stays.
    home.run(&["ssh-key", "new", "other"], "").good();
    home.keypair(&["import", "deploy", "--key", "other"])
        .fault_told(5, "key pair deploy has another key in eu-central-1");
    home.keypair(&["delete", "deploy", "--region", "eu-west-1"]).good();
    let partly = home.keypair(&[&["import", "deploy", "--key", "other"], &regions[..]].concat());
    assert_eq!(partly.exit, Some(9), "{partly:?}");
    assert!(partly.stderr.contains("eu-west-1: imported") && partly.stderr.contains("has another key in us-east-1"));

    let calls = sandbox.calls("ImportKeyPair");
    for (kind, words) in [("ecdsa-p256", "no ECDSA"), ("rsa-3072", "an RSA key of 3072 bits: EC2 takes")] {
        home.run(&["ssh-key", "new", kind, "--type", kind], "").good();
        home.keypair(&["import", kind]).fault_told(5, words);
    }
    home.keypair(&["import", "nobody"]).fault_told(6, "no ssh key is stored as nobody");
    assert_eq!(sandbox.calls("ImportKeyPair"), calls, "refused before AWS was asked");
}

#[test]
fn the_list_names_keys_instances_and_orphans_and_what_cannot_be_seen() {
    let (sandbox, home) = ready();
    let launch = home.row(INSTANCES, "ada-launch");
    assert_eq!((&launch["keys"], &launch["instance_count"]), (&json!([]), &json!(3)), "in use, and no key known");
    home.add_launch_key();
    let launch = home.row(INSTANCES, "ada-launch");
    assert_eq!((&launch["keys"], &launch["tags"]["Owner"]), (&vault_key("ada-launch"), &json!("ada")));
    let of_linux = json!({"id": LINUX, "name": "web-1", "state": "running"});
    assert!(launch["instances"].as_array().expect("instances").contains(&of_linux), "{launch}");
    home.keypair(&["create", "unused"]).good();
    assert_eq!(home.row(REGION, "unused")["instance_count"], 0);

    home.keypair(&["delete", "ada-launch", "--region", INSTANCES, "--force"]).good();
    let gone = home.row(INSTANCES, "ada-launch");
    assert!(gone.get("id").is_none() && gone["instance_count"] == 3, "{gone}");
    let table = home.keypair(&["list", "--region", INSTANCES]).good();
    assert!(table.starts_with("REGION") && table.contains("pair deleted") && table.contains("(web-1)"), "{table}");

    // No permission in one region of three: the rest is shown, and the exit code says that it is not all.
    sandbox.fault_in("eu-west-1", "DescribeKeyPairs", 1, &json!("wrong_xml"));
    let ended = home.keypair(&["list", "--region", REGION, "--region", "eu-west-1", "--region", INSTANCES]);
    assert_eq!(ended.exit, Some(9), "{ended:?}");
    assert!(ended.stdout.contains("unused") && ended.stdout.contains("ada-launch"), "{ended:?}");
    assert!(ended.stderr.contains("eu-west-1: the answer to ec2:DescribeKeyPairs is not one"), "{ended:?}");
    sandbox.fault_in(REGION, "DescribeInstances", 1, &json!("wrong_xml"));
    let (listed, exit) = home.keypairs(&[REGION]);
    assert_eq!((exit, listed["keypairs"][0].get("instances")), (Some(9), None), "{listed}");
    sandbox.fault("DescribeKeyPairs", 2, &json!("wrong_xml"));
    home.keypair(&["list", "--region", REGION, "--region", "eu-west-1"]).fault_told(8, "not one that AWS gives");
    let (empty, exit) = home.keypairs(&["eu-west-2"]);
    assert_eq!((exit, &empty["keypairs"]), (Some(0), &json!([])));
}

#[test]
fn a_region_that_the_account_has_not_is_told_from_credentials_that_are_not_good() {
    let (sandbox, home) = ready();
    let unknown = "there is no region eu-nowhere-9, or the account has not enabled it";
    let nowhere = ["--region", "eu-nowhere-9"];
    home.run(&["ssh-key", "new", "deploy"], "").good();
    for words in [&["list"][..], &["import", "deploy"], &["rotate", "web"], &["delete", "web"], &["create", "web"]] {
        let ended = home.keypair(&[words, &nowhere[..]].concat());
        assert!(ended.stderr.contains("hint: claviger keypair list --all-regions"), "{ended:?}");
        ended.fault_told(6, unknown);
    }
    home.keypair(&[&["password", WINDOWS], &nowhere[..]].concat()).fault_told(6, unknown);
    assert_eq!(home.names_of_keys(), ["deploy"]);
    let partly = home.keypair(&[&["list", "--region", REGION], &nowhere[..]].concat());
    assert!(partly.exit == Some(9) && partly.stderr.contains(unknown), "{partly:?}");
    // One that the account has is no such.
    let refuse = json!({"refuse": {"status": 401, "code": "AuthFailure", "message": "no"}});
    for action in ["DescribeKeyPairs", "DescribeInstances"] {
        sandbox.fault_in("eu-west-1", action, 1, &refuse);
    }
    let refused = home.keypair(&["list", "--region", "eu-west-1"]);
    assert!(refused.exit != Some(0) && !refused.stderr.contains("there is no region"), "{refused:?}");
}

#[test]
fn a_rotation_keeps_what_instances_need_and_trashes_what_nobody_does() {
    let (_sandbox, home) = ready();
    home.run(&["ssh-key", "new", "web"], "").good();
    let old = home.run(&["ssh-key", "public", "web"], "").good();
    home.keypair(&["import", "web", "--all-regions", "--tag", "team=web"]).good();
    // In some regions: another may still need the old one.
    let done = home.keypair(&["rotate", "web", "--region", REGION, "--region", INSTANCES]);
    assert!(done.exit == Some(0) && done.stderr.contains("stays in the vault as web+old"), "{done:?}");
    assert_eq!(home.names_of_keys(), ["web", "web+old"]);
    let row = home.row(REGION, "web");
    assert_eq!((&row["keys"], &row["tags"]["team"]), (&vault_key("web"), &json!("web")));
    assert_eq!(home.row("eu-west-1", "web")["keys"], vault_key("web+old"));
    assert_eq!(home.run(&["ssh-key", "public", "web+old"], "").good(), old);
    // In all of them, and nobody uses it.
    let done = home.keypair(&["rotate", "web", "--all-regions", "--type", "rsa-4096"]);
    assert!(done.exit == Some(0) && done.stderr.contains("SSH key web is in the vault's trash"), "{done:?}");
    assert!(home.names_of_keys() == ["web", "web+old"] && home.trash().contains("web"));
    assert_eq!(home.row("eu-west-1", "web")["kind"], "rsa");

    home.keypair(&["rotate", "nobody", "--all-regions"]).fault_told(6, "there is no key pair nobody");
    home.add_launch_key();
    // Where there is no pair of the name none is made.
    let done = home.keypair(&["rotate", "ada-launch", "--region", INSTANCES, "--region", REGION]);
    assert!(home.row(REGION, "ada-launch").is_null());
    assert!(done.exit == Some(0) && done.stderr.contains("3 instances were launched with it"), "{done:?}");
    assert!(home.names_of_keys().contains(&"ada-launch+old".to_owned()));
    let password = home.keypair(&["password", WINDOWS, "--region", INSTANCES]).good();
    assert_eq!(password, "Winter-Sun-9!(k\n", "by the key of the launch, which the pair no longer has");
    home.keypair(&["rotate", "web", "--type", "ed25519", "--region", "eu-west-1"]).good();
}

#[test]
fn a_pair_whose_key_is_elsewhere_is_replaced_at_a_persons_word_alone() {
    let (sandbox, home) = ready();
    let rotate = |words: &[&str]| home.keypair(&[&["rotate", "ada-launch", "--region", INSTANCES], words].concat());
    let before = home.row(INSTANCES, "ada-launch");
    let refused = rotate(&[]);
    assert!(refused.stderr.contains("hint: claviger keypair rotate ada-launch --force"), "{refused:?}");
    refused.fault_told(6, "the key of key pair ada-launch in us-east-1 is neither in the vault nor on a card");
    assert_eq!((home.row(INSTANCES, "ada-launch"), home.names_of_keys().len()), (before, 0));
    assert_eq!((sandbox.calls("DeleteKeyPair"), sandbox.calls("ImportKeyPair")), (0, 0));
    // At a terminal it is asked, and a no needs no hint.
    let words = [&["keypair", "rotate", "ada-launch", "--region", INSTANCES], &PROFILE[..]].concat();
    let mut asked = OnTerminal::start(home.terminal_command(&words));
    asked.wait_for("Replace it? [y/N]");
    asked.enter("n");
    let ended = Ended::from(asked.end());
    assert!(ended.exit == Some(5) && ended.stdout.contains("the answer was no"), "{ended:?}");
    assert!(!ended.stdout.contains("hint:"), "{ended:?}");
    assert_eq!(sandbox.calls("DeleteKeyPair"), 0);
    let done = rotate(&["--force"]);
    assert!(
        done.exit == Some(0) && done.stderr.contains("let in the old key still, and that one is not here"),
        "{done:?}"
    );
    assert_eq!(home.row(INSTANCES, "ada-launch")["keys"], vault_key("ada-launch"));
    // The type of the old one: new Windows instances have a password as the old ones had.
    assert_eq!(home.row(INSTANCES, "ada-launch")["kind"], "rsa");
}

#[test]
fn the_old_key_is_named_whatever_its_name_is() {
    let (_sandbox, home) = ready();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sandbox/src/world/demo-launch-key.pem");
    home.run(&["ssh-key", "add", "desk", file.to_str().expect("a path")], "").good();
    let done = home.keypair(&["rotate", "ada-launch", "--region", INSTANCES, "--type", "ed25519"]);
    let told = "Instances that were launched before let in the old key still: it stays in the vault as desk.";
    assert!(done.exit == Some(0) && done.stderr.contains(told), "{done:?}");
    assert_eq!(
        (home.names_of_keys(), home.row(INSTANCES, "ada-launch")["kind"].clone()),
        (vec!["ada-launch".to_owned(), "desk".to_owned()], json!("ed25519"))
    );
}

#[test]
fn a_rotation_that_is_not_over_is_told_of_and_done_where_it_is_asked_for() {
    let (sandbox, home) = ready();
    home.run(&["ssh-key", "new", "web"], "").good();
    let regions = ["--region", REGION, "--region", "eu-west-1", "--region", "eu-west-2"];
    home.keypair(&[&["import", "web"], &regions[..]].concat()).good();
    for region in ["eu-west-1", "eu-west-2"] {
        sandbox.fault_in(region, "ImportKeyPair", 1, &json!("wrong_xml"));
    }
    let partly = home.keypair(&[&["rotate", "web"], &regions[..]].concat());
    let told = "eu-west-1, eu-west-2 waits for the new key, which is in the vault as web+new. Go on with:\n\
        claviger keypair rotate web --profile prod --region eu-west-1 --region eu-west-2\n";
    assert!(partly.exit == Some(9) && partly.stderr.ends_with(told), "{partly:?}");
    assert!(home.warned_of("the rotation of key pair web was cut off: claviger keypair rotate web"));
    // In the region that is named alone; and what is left then is told.
    let imports = sandbox.calls("ImportKeyPair");
    let one = home.keypair(&["rotate", "web", "--region", "eu-west-2"]);
    assert!(one.exit == Some(9) && one.stderr.contains("--profile prod --region eu-west-1\n"), "{one:?}");
    assert_eq!(sandbox.calls("ImportKeyPair") - imports, 2, "a trial and the import");
    assert_eq!(home.row("eu-west-1", "web")["keys"], vault_key("web"));
    assert_eq!(home.row("eu-west-2", "web")["keys"], vault_key("web+new"));
    home.keypair(&["rotate", "web", "--region", "us-west-2"]).fault_told(6, "there is no key pair web in us-west-2");
    // With none named, what is left.
    let done = home.keypair(&["rotate", "web"]);
    assert!(done.exit == Some(0) && !done.stderr.contains("Go on with"), "{done:?}");
    assert_eq!(home.row("eu-west-1", "web")["keys"], vault_key("web"));
    assert!(!home.warned_of("the rotation of key pair"));
}

#[test]
fn a_rotation_that_fails_or_crashes_is_finished_by_the_next() {
    let (sandbox, home) = ready();
    home.run(&["ssh-key", "new", "web"], "").good();
    let regions = ["--region", REGION, "--region", "eu-west-1"];
    home.keypair(&[&["import", "web"], &regions[..]].concat()).good();
    let rotate = || home.keypair(&[&["rotate", "web"], &regions[..]].concat());
    // The import fails in one region, after the old pair went: that one is put back.
    sandbox.fault_in("eu-west-1", "ImportKeyPair", 1, &json!("wrong_xml"));
    assert_eq!(rotate().exit, Some(9), "the trial is refused");
    assert_eq!(home.names_of_keys(), ["web", "web+new"]);
    assert_eq!(home.row(REGION, "web")["keys"], vault_key("web+new"));
    assert_eq!(home.row("eu-west-1", "web")["keys"], vault_key("web"));
    assert_eq!(rotate().exit, Some(0));
    assert_eq!(home.names_of_keys(), ["web", "web+old"]);
    for region in [REGION, "eu-west-1"] {
        assert_eq!(home.row(region, "web")["keys"], vault_key("web"), "{region}");
    }
    // Killed at each of its calls. The first look is before anything has begun; the second import is the one that is no
    // trial: the old pair has gone.
    for (action, passed) in [
        ("DescribeKeyPairs", 1),
        ("DescribeInstances", 0),
        ("ImportKeyPair", 0),
        ("DeleteKeyPair", 0),
        ("ImportKeyPair", 1),
    ] {
        let before = home.row(REGION, "web")["id"].clone();
        if passed > 0 {
            sandbox.fault_in(REGION, action, passed, &json!({"missing_field": "nothing"}));
        }
        sandbox.fault_in(REGION, action, 1, &json!("hang"));
        std::thread::scope(|scope| {
            let asked = scope.spawn(rotate);
            sandbox.wait_hanging(1);
            kill(home.pid());
            sandbox.release();
            assert_ne!(asked.join().expect("no panic").exit, Some(0), "{action}");
        });
        home.unlock().good();
        let names = home.names_of_keys();
        assert!(names.contains(&"web".to_owned()) && names.contains(&"web+new".to_owned()), "{action}: {names:?}");
        // In no region but those it began with, and with no region named.
        let done = home.keypair(&["rotate", "web"]);
        assert_eq!(done.exit, Some(0), "{action}: {done:?}");
        assert!(!home.names_of_keys().contains(&"web+new".to_owned()), "{action}");
        for region in [REGION, "eu-west-1"] {
            assert_eq!(home.row(region, "web")["keys"], vault_key("web"), "{action} {region}");
        }
        assert_ne!(home.row(REGION, "web")["id"], before, "{action}");
    }
}

#[test]
fn what_instances_use_goes_at_a_persons_word_alone() {
    let (sandbox, home) = ready();
    home.add_launch_key();
    let delete = |words: &[&str]| home.keypair(&[&["delete", "ada-launch", "--region", INSTANCES], words].concat());
    delete(&[]).fault_told(5, "3 instances were launched with key pair ada-launch");
    let words = [&["keypair", "delete", "ada-launch", "--region", INSTANCES], &PROFILE[..]].concat();
    let mut asked = OnTerminal::start(home.terminal_command(&words));
    asked.wait_for("Delete it? [y/N]");
    asked.enter("n");
    let ended = Ended::from(asked.end());
    assert!(ended.exit == Some(5) && ended.stdout.contains("the answer was no"), "{ended:?}");
    assert!(!ended.stdout.contains("hint:"), "{ended:?}");
    assert_eq!(sandbox.calls("DeleteKeyPair"), 0);
    let done = delete(&["--force", "--with-key"]);
    assert!(done.exit == Some(0) && done.stderr.contains("SSH key ada-launch is in the vault's trash"), "{done:?}");
    assert!(home.names_of_keys().is_empty() && home.trash().contains("ada-launch"));
    let gone = delete(&[]);
    assert!(gone.stderr.contains("hint: claviger keypair list --all-regions"), "{gone:?}");
    gone.fault_told(6, "there is no key pair ada-launch in us-east-1");
    home.keypair(&["create", "web"]).good();
    home.keypair(&["delete", "web"]).good();
    assert_eq!((home.row(REGION, "web"), home.names_of_keys().len()), (Value::Null, 1), "the vault's key stays");
}

#[test]
fn a_windows_password_is_decrypted_or_it_is_said_why_not() {
    let (sandbox, home) = ready();
    let password = |instance: &str| home.keypair(&["password", instance, "--region", INSTANCES]);
    password(WINDOWS).fault_told(6, "no key here decrypts it: the instance was launched with ada-launch");
    home.add_launch_key();
    assert_eq!(password(WINDOWS).good(), "Winter-Sun-9!(k\n");
    password(LINUX).fault_told(5, "it does not run Windows");
    password("i-0123456789abcdef0").fault_told(6, "there is no instance i-0123456789abcdef0 in us-east-1");
    home.keypair(&["password", WINDOWS]).fault_told(6, "in eu-central-1");
    home.keypair(&["password", "i-1"]).fault_told(2, "an instance id is i- and");
    // By a key that is another's.
    home.run(&["ssh-key", "new", "other"], "").good();
    home.keypair(&["password", WINDOWS, "--region", INSTANCES, "--key", "other"])
        .fault_told(6, "no key here decrypts it");
    home.keypair(&["password", WINDOWS, "--region", INSTANCES, "--key", "none"]).fault_told(6, "no ssh key is stored");
    // The pair may be gone: the key tells.
    home.keypair(&["delete", "ada-launch", "--region", INSTANCES, "--force"]).good();
    assert_eq!(password(WINDOWS).good(), "Winter-Sun-9!(k\n");

    home.keypair(&["create", "late", "--type", "rsa", "--region", INSTANCES]).good();
    let late = "i-0a11ce00000000010";
    sandbox.launch(&json!({
        "region": INSTANCES, "id": late, "private_ip": "10.0.9.9", "key_name": "late",
        "windows_password": "Later-4711", "password_delay_millis": 600_000
    }));
    password(late).fault_told(1, "has not made its password yet");
    sandbox.set_offset(700_000);
    assert_eq!(password(late).good(), "Later-4711\n");
    home.keypair(&["create", "edwards", "--region", INSTANCES]).good();
    let edwards = "i-0a11ce00000000011";
    sandbox.launch(&json!({
        "region": INSTANCES, "id": edwards, "private_ip": "10.0.9.10", "key_name": "edwards", "windows_password": "never-seen"
    }));
    password(edwards).fault_told(5, "launched with an ed25519 key, which decrypts nothing");
}
