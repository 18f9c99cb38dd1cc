//! The record of a real agent: what it tells, what is found, what a kill leaves, and a disk that is full.

use crate::attack::{USER, as_user, client, ordinary};
use crate::home::{Agent, Ended, Home, PASSPHRASE, kill, program};
use crate::sandbox::Sandbox;
use crate::wire::Wire;
use claviger_agent::testing::figure;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The record's files under a data folder, in order.
fn files(data: &Path) -> Vec<PathBuf> {
    let inside = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = inside(data.join("audit")).flat_map(inside).collect();
    files.sort();
    files
}

fn record(home: &Home) -> Vec<Value> {
    serde_json::from_str(&home.run(&["audit", "log", "--json"], "").good()).expect("JSON")
}

fn verdict(home: &Home) -> Ended {
    home.run(&["audit", "verify"], "")
}

#[track_caller]
fn tampered(home: &Home, line: usize) {
    let ended = verdict(home);
    let told = format!("claviger: audit-000001.jsonl, line {line}: ");
    assert!(ended.exit == Some(1) && ended.stderr.starts_with(&told) && ended.stdout.is_empty(), "{line}: {ended:?}");
}

#[test]
fn the_record_tells_who_got_what_and_holds_no_secret() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    let credentials: Value = serde_json::from_str(&home.run(&["process", "prod"], "").good()).expect("JSON");
    home.run(&["process", "prod"], "").good();
    home.run(&["process", "nope"], "").fault(6, "profile.not_found");
    let exported = home.run(&["access-key", "export", "dev", "--passphrase-fd", "0"], PASSPHRASE).good();
    let uri = home.run(&["mfa", "export", "ada-phone", "--passphrase-fd", "0"], PASSPHRASE);
    let code = home.run(&["mfa", "code"], "").good();
    home.run(&["lock"], "").good();
    assert_eq!(home.run(&["unlock", "--passphrase-fd", "0"], "hunter2hunter2\n").exit, Some(5));

    let records = record(&home);
    let events: BTreeSet<&str> = records.iter().filter_map(|record| record["event"].as_str()).collect();
    for event in [
        "agent.start",
        "vault.create",
        "access_key.add",
        "mfa.add",
        "session.new",
        "session.served",
        "session.refused",
        "access_key.export",
        "mfa.export",
        "mfa.code",
        "vault.lock",
        "vault.unlock",
    ] {
        assert!(events.contains(event), "{event}: {events:?}");
    }
    let of = |event: &str, outcome: &str| {
        let found = records.iter().filter(|record| record["event"] == event && record["outcome"] == outcome);
        found.collect::<Vec<_>>()
    };
    assert_eq!(of("session.served", "done").len(), 2);
    assert_eq!(of("session.refused", "failed")[0]["error"], "profile.not_found");
    assert_eq!(of("vault.unlock", "failed")[0]["error"], "vault.wrong_proof");
    assert_eq!(of("mfa.add", "done")[0]["aws"]["mfa_serial"], sandbox.text("mfa_serial"));

    let id = credentials["AccessKeyId"].as_str().expect("an id");
    let story: Value = serde_json::from_str(&home.run(&["audit", "why", id, "--json"], "").good()).expect("JSON");
    let (begun, done) = (&story["records"][0], &story["records"][1]);
    assert_eq!(
        (&begun["event"], &begun["outcome"], &begun["act"]),
        (&json!("session.new"), &json!("begun"), &done["act"])
    );
    assert_eq!((&story["served"], &done["aws"]["access_key_id"]), (&json!(2), &json!(id)), "{story}");
    let client = program("claviger");
    assert_eq!(begun["peer"]["exe"].as_str(), client.to_str(), "{begun}");
    assert!(begun["peer"]["chain"].as_array().is_some_and(|chain| chain.len() > 1), "{begun}");
    assert!(begun["peer"]["start"].is_u64() && done["aws"]["expires"] == credentials["Expiration"], "{story}");
    let request = done["aws"]["request_id"].as_str().expect("AWS's id of the request");
    assert!(home.run(&["audit", "why", request], "").good().contains(id));
    assert_eq!(home.run(&["audit", "why", "ASIANOSUCHKEYATALL00"], "").exit, Some(6));
    assert!(verdict(&home).good().starts_with("The record is whole: "));

    let mut text = String::new();
    files(&home.file("data")).iter().for_each(|file| text += &fs::read_to_string(file).expect("text"));
    let secret = |name: &str| credentials[name].as_str().expect("text").to_owned();
    let mut canaries = vec![secret("SecretAccessKey"), secret("SessionToken"), code.trim().to_owned()];
    canaries.extend(
        [sandbox.text("secret_access_key"), sandbox.text("mfa_seed"), "correct horse", "hunter2"].map(str::to_owned),
    );
    canaries.push(uri.stdout.trim().to_owned());
    assert!(exported.contains(sandbox.text("secret_access_key")), "the canary is what was handed out");
    for canary in canaries.iter().filter(|canary| !canary.is_empty()) {
        // Six digits of a code may stand in a number by chance, but not as a value.
        let quoted = canary.len() == 6 && !text.contains(&format!("\"{canary}\""));
        assert!(quoted || !text.contains(canary), "a secret is in the record");
    }
    assert!(text.contains(id), "the control: what is no secret is there");
}

#[test]
fn what_is_done_to_the_files_is_named_and_a_removed_slot_changes_nothing() {
    let home = Home::new();
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    for _ in 0..3 {
        home.run(&["lock"], "").good();
        home.unlock().good();
    }
    home.run(&["slot", "remove", "2", "--passphrase-fd", "0"], PASSPHRASE).good();
    verdict(&home).good();
    home.run(&["agent", "restart"], "").good();
    let locked = verdict(&home);
    assert!(locked.exit == Some(3) && locked.stderr.contains("in order"), "{locked:?}");
    home.unlock().good();
    verdict(&home).good();

    let path = files(&home.file("data")).remove(0);
    let good = fs::read(&path).expect("the record");
    let lines: Vec<&[u8]> = good.split_inclusive(|byte| *byte == b'\n').collect();
    let count = lines.len();
    assert!(count > 9, "{count}");
    let write = |bytes: &[u8]| fs::write(&path, bytes).expect("written");
    let mut flipped = good.clone();
    flipped[lines[0].len() + 20] ^= 1;
    for (bytes, line) in [
        (flipped, 2),
        ([lines[..3].concat(), lines[4..].concat()].concat(), 4),
        ([lines[..2].concat(), lines[3].to_vec(), lines[2].to_vec(), lines[4..].concat()].concat(), 3),
        (lines[..count - 1].concat(), count),
        (good[..good.len() - 9].to_vec(), count),
        (Vec::new(), 1),
    ] {
        write(&bytes);
        tampered(&home, line);
    }
    write(&good);
    verdict(&home).good();
    // While no agent is there: the head is in the state.
    home.run(&["agent", "stop"], "").good();
    let stopped = fs::read(&path).expect("the record");
    let shorter = stopped.split_inclusive(|byte| *byte == b'\n').collect::<Vec<_>>();
    write(&shorter[..shorter.len() - 2].concat());
    home.unlock().good();
    tampered(&home, shorter.len() - 1);
}

#[test]
fn a_kill_under_load_tears_at_most_the_last_line() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &["--no-verify"]);
    home.run(&["process", "prod"], "").good();
    for round in 0..6 {
        let pid = home.pid();
        let before: u64 = files(&home.file("data")).iter().map(|file| fs::metadata(file).expect("a file").len()).sum();
        let load: Vec<_> = (0..4)
            .map(|_| {
                let socket = home.file("run/agent.sock");
                std::thread::spawn(move || {
                    let mut wire = Wire::greet(&socket);
                    let mut answered = 0;
                    for id in 2.. {
                        let request = json!({"id": id, "request": {"credentials": {"profile": "prod", "wait": 60}}});
                        let sent = std::io::Write::write_all(wire.0.get_mut(), format!("{request}\n").as_bytes());
                        let Some(line) = sent.ok().and_then(|()| wire.line()) else { break };
                        assert!(line.contains("\"credentials\""), "{line}");
                        answered += 1;
                    }
                    answered
                })
            })
            .collect();
        let written = || {
            files(&home.file("data")).iter().map(|file| fs::metadata(file).map_or(0, |file| file.len())).sum::<u64>()
        };
        while written() < before + 20_000 + 7919 * round {
            std::thread::yield_now();
        }
        kill(pid);
        let answered: usize = load.into_iter().map(|thread| thread.join().expect("a thread")).sum();
        let bytes = fs::read(files(&home.file("data")).last().expect("a file")).expect("the record");
        let whole: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        let (last, others) = whole.split_last().expect("lines");
        assert!(others.iter().all(|line| serde_json::from_slice::<Value>(line).is_ok()), "round {round}");
        assert!(last.ends_with(b"\n") || !last.ends_with(b"}"), "round {round}: whole or torn");
        home.run(&["agent", "start"], "").exit.expect("an end");
        home.unlock().good();
        verdict(&home).good();
        // What was answered is on record: a kill of the process alone loses no write.
        let served = record(&home).iter().filter(|record| record["event"] == "session.served").count();
        assert!(answered > 10 && served >= answered, "round {round}: {served} of {answered}");
    }
}

/// An agent whose data folder is a disk of so many MiB, in a mount namespace of its own; and that folder as seen here.
fn on_small_disk(home: &Home, mebibytes: u32, agent: &Command) -> (Agent, PathBuf) {
    assert!(rustix::process::geteuid().is_root(), "a disk is mounted here: run this test as root, as CI does");
    fs::create_dir_all(home.file("data")).expect("a folder");
    let owner = fs::metadata(home.path()).expect("a folder").uid();
    let options = format!("mode=0700,uid={owner},gid={owner},size={mebibytes}m");
    let script = format!("mount -t tmpfs -o {options} tmpfs \"$CLAVIGER_HOME/data\" && exec \"$0\" \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]).arg(agent.get_program()).args(agent.get_args()).env_clear();
    command.env("CLAVIGER_HOME", home.path()).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let mut agent = Agent::spawn(&mut command);
    assert_eq!(agent.word(), "ready");
    let data = PathBuf::from(format!("/proc/{}/root{}/data", agent.pid(), home.path().display()));
    (agent, data)
}

/// Takes what is free on that disk.
fn fill(data: &Path) -> PathBuf {
    let filler = data.join("filler");
    let full = std::io::copy(&mut std::io::repeat(0), &mut fs::File::create(&filler).expect("a file"));
    assert_eq!(full.expect_err("full").kind(), std::io::ErrorKind::StorageFull);
    filler
}

/// A disk too small for what should be set aside, full, under an agent without privileges.
#[test]
fn on_a_disk_of_one_mebibyte_nothing_is_lost_in_silence() {
    let sandbox = Sandbox::start();
    let home = ordinary();
    home.configure(&sandbox);
    for file in ["config/config.toml", "config/profiles"] {
        chown(home.file(file), Some(USER), Some(USER)).expect("chown");
    }
    let mut agent = as_user(&home, USER, &home.file("bin/claviger-agent"));
    agent.args(["run", "--detached"]);
    let (_agent, data) = on_small_disk(&home, 1, &agent);
    client(&home, &["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    client(&home, &["access-key", "add", "dev", "--stdin"], &sandbox.access_key()).good();
    let add = ["mfa", "add", "--for", "dev", "--seed-stdin", "--serial", sandbox.text("mfa_serial"), "--no-verify"];
    client(&home, &add, sandbox.text("mfa_seed")).good();
    let mut served = 1_u64;
    client(&home, &["process", "prod"], "").good();
    let filler = fill(&data);
    // Hand-outs from memory go on, and what is not on record is counted.
    let lost = loop {
        client(&home, &["process", "prod"], "").good();
        served += 1;
        let status = client(&home, &["status", "--json"], "").good();
        let lost = status.split_once(" audit records could not be written").map(|(before, _)| before);
        let digits = lost.and_then(|before| before.rsplit(|c: char| !c.is_ascii_digit()).next());
        if let Some(lost) = digits.and_then(|digits| digits.parse::<u64>().ok()) {
            break lost;
        }
    };
    let text: String = files(&data).iter().map(|file| fs::read_to_string(file).expect("text")).collect();
    let told = text.lines().filter(|line| line.contains("\"session.served\"")).count() as u64;
    assert_eq!(told + lost, served);
    client(&home, &["process", "plain"], "").fault(1, "audit.full");
    let (id, secret) = ("AKIAIOSFODNN7EXAMPLE\n", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n");
    let add = |exit: i32| {
        let ended = client(&home, &["access-key", "add", "other", "--stdin", "--no-verify"], &format!("{id}{secret}"));
        assert_eq!(ended.exit, Some(exit), "{ended:?}");
    };
    add(1);
    assert_eq!(sandbox.calls("AssumeRole"), 1);
    client(&home, &["audit", "verify"], "").good();

    fs::remove_file(&filler).expect("room again");
    client(&home, &["process", "plain"], "").good();
    add(0);
    let gaps = client(&home, &["audit", "log", "--event", "audit.gap", "--json"], "").good();
    let gaps: Vec<Value> = serde_json::from_str(&gaps).expect("JSON");
    assert!(gaps.len() == 1 && gaps[0]["count"].as_u64() >= Some(lost), "{gaps:?}");
    client(&home, &["audit", "verify"], "").good();
}

#[test]
fn on_a_full_disk_the_record_goes_on_then_acts_are_refused_and_hand_outs_are_counted() {
    let sandbox = Sandbox::start();
    let home = Home::at(&sandbox);
    let (_agent, data) = on_small_disk(&home, 12, &home.agent_command());
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    home.run(&["access-key", "add", "dev", "--stdin"], &sandbox.access_key()).good();
    let add = ["mfa", "add", "--for", "dev", "--seed-stdin", "--serial", sandbox.text("mfa_serial"), "--no-verify"];
    home.run(&add, sandbox.text("mfa_seed")).good();
    home.run(&["process", "prod"], "").good();
    let filler = fill(&data);

    // A thousand records and more are sure.
    let mut wire = home.connect();
    let credentials = json!({"credentials": {"profile": "prod", "wait": 60}});
    let warned = |home: &Home, word: &str| home.status()["warnings"].to_string().contains(word);
    let mut served = 0_u64;
    while !warned(&home, "could not be written") {
        for _ in 0..500 {
            served += 1;
            assert!(wire.ask(1 + served, &credentials)["reply"]["credentials"].is_object());
        }
    }
    assert!(served > 1000 && warned(&home, "the disk is full"), "{served}");
    figure("audit reserve on a full disk: records", served);
    home.run(&["process", "plain"], "").fault(1, "audit.full");
    let refused = home.run(&["access-key", "export", "dev", "--passphrase-fd", "0"], PASSPHRASE);
    assert!(refused.exit == Some(1) && refused.stderr.contains("hint: df -h"), "{refused:?}");
    home.run(&["process", "prod"], "").good();
    assert_eq!(sandbox.calls("AssumeRole"), 1);
    verdict(&home).good();

    fs::remove_file(&filler).expect("room again");
    home.run(&["process", "plain"], "").good();
    let gaps = home.run(&["audit", "log", "--event", "audit.gap", "--json"], "").good();
    let gaps: Vec<Value> = serde_json::from_str(&gaps).expect("JSON");
    assert!(gaps.len() == 1 && gaps[0]["count"].as_u64() > Some(0), "{gaps:?}");
    assert_eq!(home.status()["warnings"], json!([]));
    assert!(verdict(&home).good().contains("gaps with a known reason: 1 "));
}
