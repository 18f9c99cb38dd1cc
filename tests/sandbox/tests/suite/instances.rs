//! Instances: how they are found, and the passwords of Windows.

use crate::common::{Reply, Rig, demo, rig};
use claviger_sandbox::{InstanceState, Seed, SeedInstance, SeedKeyOrigin, SeedKeyPair};
use std::io::Write as _;
use std::process::{Command, Stdio};

const EAST: &str = "us-east-1";
const WEB: &str = "i-0a11ce0000000001a";
const BATCH: &str = "i-0a11ce0000000002b";
const DESK: &str = "i-0a11ce0000000003c";

fn described(rig: &Rig, region: &str, parameters: &[(&str, &str)]) -> Reply {
    rig.ec2(&rig.ada(), region, "DescribeInstances", parameters)
}

fn ids(reply: &Reply) -> Vec<&str> {
    reply.body.split("<instanceId>").skip(1).map(|rest| rest.split('<').next().unwrap()).collect()
}

#[test]
fn instances_are_found_by_what_people_know_of_them() {
    let rig = demo();
    let all = described(&rig, EAST, &[]).ok();
    assert_eq!(ids(&all), [WEB, BATCH, DESK]);
    assert!(ids(&described(&rig, "eu-west-1", &[]).ok()).is_empty());
    for (name, value, found) in [
        ("instance-id", WEB, &[WEB][..]),
        ("tag:Name", "desk-1", &[DESK]),
        ("tag:Name", "*-1", &[WEB, BATCH, DESK]),
        ("tag:Name", "WEB-1", &[]),
        ("private-ip-address", "10.0.2.20", &[BATCH]),
        ("ip-address", "127.0.0.1", &[WEB, DESK]),
        ("key-name", "ada-launch", &[WEB, BATCH, DESK]),
        ("key-name", "other", &[]),
        ("instance-state-name", "running", &[WEB, DESK]),
        ("platform", "windows", &[DESK]),
        ("availability-zone", "us-east-1b", &[BATCH]),
    ] {
        let filter = [("Filter.1.Name", name), ("Filter.1.Value.1", value)];
        assert_eq!(ids(&described(&rig, EAST, &filter).ok()), found, "{name} {value}");
    }
    described(&rig, EAST, &[("Filter.1.Name", "colour"), ("Filter.1.Value.1", "red")]).refused(
        400,
        "InvalidParameterValue",
        "The filter 'colour' is invalid",
    );
    let desk = described(&rig, EAST, &[("InstanceId.1", DESK)]).ok();
    assert_eq!(
        (desk.text("platform"), desk.text("privateIpAddress"), desk.text("ipAddress")),
        ("windows", "10.0.1.30", "127.0.0.1")
    );
    assert_eq!((desk.text("keyName"), desk.text("availabilityZone")), ("ada-launch", "us-east-1a"));
    assert_eq!((desk.text("ownerId"), desk.text("launchTime")), ("123456789012", "2026-03-01T12:00:10.000Z"));
    let batch = described(&rig, EAST, &[("InstanceId.1", BATCH)]).ok();
    assert_eq!((batch.find("platform"), batch.find("ipAddress"), batch.text("code")), (None, None, "80"));
    described(&rig, EAST, &[("InstanceId.1", "i-0a11ce0000000009f"), ("InstanceId.2", WEB)]).refused(
        400,
        "InvalidInstanceID.NotFound",
        "The instance ID 'i-0a11ce0000000009f' does not exist",
    );
    described(&rig, "eu-west-1", &[("InstanceId.1", WEB)]).refused(400, "InvalidInstanceID.NotFound", WEB);
    for junk in ["web-1", "i-", "i-0A11CE0000000001A", "i-123", "mi-0a11ce0000000001a"] {
        described(&rig, EAST, &[("InstanceId.1", junk)]).refused(
            400,
            "InvalidInstanceID.Malformed",
            &format!("Invalid id: &quot;{junk}&quot;"),
        );
    }
}

#[test]
fn instances_come_in_pages() {
    let mut seed = Seed::demo(7);
    for index in 0..9 {
        seed = seed.with_instance(SeedInstance::linux("eu-west-1", &format!("i-0000000{index}"), "10.0.0.1"));
    }
    let rig = rig(seed);
    let first = described(&rig, "eu-west-1", &[("MaxResults", "5")]).ok();
    let second = described(&rig, "eu-west-1", &[("MaxResults", "5"), ("NextToken", first.text("nextToken"))]).ok();
    assert_eq!((ids(&first).len(), ids(&second).len(), second.find("nextToken")), (5, 4, None));
    assert_eq!(ids(&described(&rig, "eu-west-1", &[]).ok()).len(), 9);
    for most in ["4", "1001", "0"] {
        described(&rig, "eu-west-1", &[("MaxResults", most)]).refused(
            400,
            "InvalidParameterValue",
            "between 5 and 1000",
        );
    }
    described(&rig, "eu-west-1", &[("MaxResults", "5"), ("InstanceId.1", "i-00000001")]).refused(
        400,
        "InvalidParameterCombination",
        "maxResults",
    );
    described(&rig, "eu-west-1", &[("NextToken", "junk")]).refused(400, "InvalidNextToken", "");
}

fn password(rig: &Rig, id: &str) -> String {
    let reply = rig.ec2(&rig.ada(), EAST, "GetPasswordData", &[("InstanceId", id)]).ok();
    assert_eq!(reply.text("instanceId"), id);
    reply.text("passwordData").to_owned()
}

/// openssl's reading of a password under the demo's launch key.
fn decrypted(rig: &Rig, data: &str) -> String {
    let SeedKeyOrigin::Created(pem) = &rig.seed.key_pairs[0].origin else { panic!("the demo's pair is created") };
    let folder = std::env::temp_dir().join(format!("claviger-sandbox-{}-password", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let key = folder.join("key");
    std::fs::write(&key, pem).unwrap();
    let line = "openssl base64 -d -A | openssl pkeyutl -decrypt -inkey \"$1\"";
    let mut openssl = Command::new("sh")
        .args(["-euc", line, "sh"])
        .arg(&key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    openssl.stdin.take().unwrap().write_all(data.trim().as_bytes()).unwrap();
    let done = openssl.wait_with_output().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(done.status.success());
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn a_windows_password_is_under_the_launch_key() {
    let rig = demo();
    let data = password(&rig, DESK);
    assert!(data.starts_with("&#13;\n") && data.ends_with("&#13;\n"), "{data:?}");
    assert_eq!(decrypted(&rig, data.trim_matches(['&', '#', '1', '3', ';', '\n'])), "Winter-Sun-9!(k");
    assert_eq!(password(&rig, DESK), data);
    assert_eq!(password(&rig, WEB), "");
    let ask = |id: &str| rig.ec2(&rig.ada(), EAST, "GetPasswordData", &[("InstanceId", id)]);
    ask("i-0a11ce0000000009f").refused(400, "InvalidInstanceID.NotFound", "");
    ask("desk-1").refused(400, "InvalidInstanceID.Malformed", "");
    rig.ec2(&rig.ada(), EAST, "GetPasswordData", &[]).refused(400, "MissingParameter", "InstanceId");
    // The pair may go: the password stays as it was.
    rig.ec2(&rig.ada(), EAST, "DeleteKeyPair", &[("KeyName", "ada-launch")]).ok();
    assert_eq!(password(&rig, DESK), data);
    assert_eq!(described(&rig, EAST, &[("InstanceId.1", DESK)]).ok().text("keyName"), "ada-launch");
}

#[test]
fn a_windows_password_takes_its_time() {
    let rig = demo();
    let late = SeedInstance {
        password_delay_millis: 240_000,
        ..SeedInstance::windows(EAST, "i-0a11ce0000000004d", "10.0.1.40", "ada-launch", "Later-1")
    };
    rig.sandbox.launch(&late).unwrap();
    rig.wait(239);
    assert_eq!(password(&rig, &late.id), "");
    rig.wait(1);
    assert_eq!(decrypted(&rig, password(&rig, &late.id).trim_matches(['&', '#', '1', '3', ';', '\n'])), "Later-1");
}

#[test]
fn launches_that_aws_would_not_do_are_refused() {
    let rig = demo();
    let ed25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq3v+8J4+/ATyjxOyQKIDdMBuVFAAUBjoTh";
    let pair = |name: &str, origin: SeedKeyOrigin| SeedKeyPair {
        region: EAST.to_owned(),
        name: name.to_owned(),
        origin,
        tags: Default::default(),
    };
    let imported = |line: &str| SeedKeyOrigin::Imported(line.to_owned());
    let linux = || SeedInstance::linux(EAST, "i-00000001", "10.0.0.1");
    let launched = |key: &str| SeedInstance { key_name: Some(key.to_owned()), ..linux() };
    rig.sandbox.launch(&launched("ada-launch")).unwrap();
    let refused = |seed: Seed| claviger_sandbox::Sandbox::new(Box::new(|| 0), &seed).is_err();
    let windows = |key: &str| SeedInstance { windows_password: Some("x".to_owned()), ..launched(key) };
    let base = || Seed::demo(7).with_key_pair(pair("ed", imported(ed25519)));
    assert!(!refused(base().with_instance(launched("ed"))));
    // It runs, and its password never comes.
    assert!(!refused(base().with_instance(windows("ed"))));
    for instance in [
        SeedInstance { windows_password: Some("x".to_owned()), ..linux() },
        SeedInstance { windows_password: Some("x".repeat(300)), ..launched("ada-launch") },
        launched("ghost"),
        SeedInstance { id: "i-1".to_owned(), ..linux() },
        SeedInstance { id: WEB.to_owned(), ..linux() },
        SeedInstance { region: "eu-south-1".to_owned(), ..linux() },
    ] {
        assert!(refused(base().with_instance(instance)));
    }
    assert!(refused(base().with_key_pair(pair("ed", imported(ed25519)))));
    assert!(refused(base().with_key_pair(pair("bad", imported("ssh-ed25519 AAAA")))));
    assert!(refused(base().with_key_pair(pair("bad", SeedKeyOrigin::Created("junk".to_owned())))));
    assert!(rig.sandbox.set_instance_state(WEB, InstanceState::Terminated));
    assert!(!rig.sandbox.set_instance_state("i-00000009", InstanceState::Running));
    assert_eq!(described(&rig, EAST, &[("InstanceId.1", WEB)]).ok().text("name"), "terminated");
}
