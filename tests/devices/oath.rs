//! Codes of a YubiKey's OATH applet for STS: touched, pulled, put back, held by somebody else, and what stands in for it.

use crate::agent::Installed;
use crate::home::{Ended, Home, PASSPHRASE};
use crate::sandbox::Sandbox;
use crate::yubikey::{Bad, Card, Rig};
use claviger_sandbox::Seed;
use std::process::{Child, Command, Stdio};

pub(crate) const CARD: u32 = 12_345_678;

/// A world with a user of two devices: the first is the YubiKey's, the other one's seed can be kept in the vault.
pub(crate) struct Stage {
    pub(crate) sandbox: Sandbox,
    seed: Seed,
    pub(crate) agent: Installed,
    pub(crate) card: Card,
    pub(crate) rig: Rig,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let rig = Rig::new();
        let card = rig.yubikey(CARD, "5.7.1");
        let mut seed = Seed::demo(7);
        let ada = seed.users.remove(0).with_mfa_device("ada-spare", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP");
        let seed = seed.with_user(ada);
        let file = rig.file("seed.json");
        std::fs::write(&file, serde_json::to_vec(&seed).expect("JSON")).expect("a file");
        let sandbox = Sandbox::start_with(&["--seed-file".as_ref(), file.as_os_str()]);
        let agent = Installed::start(Home::at(&sandbox), &[("PCSCLITE_CSOCK_NAME", rig.pcsc_socket())]);
        agent.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
        let key = &seed.users[0].access_keys[0];
        agent.run(&["access-key", "add", "dev", "--stdin"], &format!("{}\n{}\n", key.id, key.secret)).good();
        Self { sandbox, seed, agent, card, rig }
    }

    fn serial(&self, device: usize) -> String {
        self.seed.mfa_serial(&self.seed.users[0].mfa_devices[device].name)
    }

    /// `mfa add --device`, with the seed of the first device.
    pub(crate) fn add(&self, options: &[&str]) -> Ended {
        let serial = self.serial(0);
        let add = ["mfa", "add", "--for", "dev", "--device", "--seed-stdin", "--serial", &serial];
        self.agent.run(&[&add, options].concat(), &self.seed.users[0].mfa_devices[0].seed)
    }

    /// The other device, in the vault.
    fn add_spare(&self) {
        let serial = self.serial(1);
        let add = ["mfa", "add", "--for", "dev", "--seed-stdin", "--no-verify", "--serial", &serial];
        self.agent.run(&add, &self.seed.users[0].mfa_devices[1].seed).good();
    }

    /// What AWS's own client says who it is, with `claviger process` behind it.
    fn aws(&self) -> Command {
        let client = crate::home::program("claviger");
        let config = self.agent.file("aws-config");
        std::fs::write(
            &config,
            format!(
                "[profile it]\nregion = us-east-1\ncredential_process = {} process --wait 90 prod\n",
                client.display()
            ),
        )
        .expect("a file");
        let mut command = Command::new("aws");
        command.args(["sts", "get-caller-identity", "--profile", "it", "--output", "text", "--query", "Arn"]);
        command.env_clear().env("PATH", std::env::var_os("PATH").expect("PATH")).env("HOME", self.agent.path());
        command.env("AWS_CONFIG_FILE", config).env("CLAVIGER_HOME", self.agent.path());
        command.env("AWS_ENDPOINT_URL_STS", self.sandbox.text("endpoint")).env("AWS_PAGER", "");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.agent.command("claviger");
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the client")
    }
}

fn ended(child: Child) -> Ended {
    child.wait_with_output().expect("its end").into()
}

#[test]
fn a_touch_gives_every_tool_credentials() {
    let stage = Stage::new();
    stage.card.touch_by_hand();
    let add = std::thread::scope(|scope| {
        let add = scope.spawn(|| stage.add(&["--name", "key"]));
        stage.card.wait_for_touch();
        assert!(stage.card.touch());
        add.join().expect("the client")
    });
    assert!(add.stderr.contains("Touch"), "{add:?}");
    assert!(add.stderr.contains(&CARD.to_string()), "{add:?}");
    let listed = stage.agent.run(&["mfa", "list"], "");
    assert!(listed.good().contains(&format!("YubiKey {CARD}")));
    // The session that proved it serves; after a logout the next one costs a touch.
    stage.agent.run(&["logout", "--all"], "").good();
    let (codes, aws) = (stage.sandbox.codes(), stage.aws().spawn().expect("aws"));
    stage.card.wait_for_touch();
    assert_eq!(stage.sandbox.codes(), codes, "nothing is sent before the touch");
    assert!(stage.card.touch());
    let said = ended(aws);
    assert!(said.good().contains(":assumed-role/prod-admin/"));
    assert_eq!((stage.sandbox.codes(), stage.sandbox.reused()), (codes + 1, 0));
    // Cached from here on: nobody touches anything.
    let again = ended(stage.aws().spawn().expect("aws"));
    assert!(again.good().contains(":assumed-role/prod-admin/"));
    assert_eq!(stage.sandbox.codes(), codes + 1);
    stage.agent.run(&["mfa", "export", "key", "--passphrase-fd", "0"], PASSPHRASE).fault_told(5, "is on a YubiKey");
}

#[test]
fn one_that_is_pulled_is_stood_in_for_and_one_that_is_back_comes_first() {
    let stage = Stage::new();
    stage.add(&["--name", "key"]).good();
    stage.agent.run(&["logout", "--all"], "").good();
    stage.card.unplug();
    stage.agent.run(&["login", "prod"], "").fault_told(7, "no such device is plugged in");
    stage.add_spare();
    stage.agent.run(&["login", "prod"], "").good();
    stage.agent.run(&["logout", "--all"], "").good();
    stage.card.plug();
    stage.agent.devices_until(|devices| devices.len() == 1);
    stage.card.touch_by_hand();
    let login = stage.spawn(&["login", "prod"]);
    stage.card.wait_for_touch();
    // Pulled while it waits: what is in the vault stands in at once, and the step it had burned is nobody's loss.
    stage.card.unplug();
    assert_eq!(ended(login).exit, Some(0));
    assert_eq!(stage.sandbox.reused(), 0);
}

#[test]
fn one_that_is_there_and_does_not_do_it_is_told_of() {
    let stage = Stage::new();
    stage.add(&["--name", "key"]).good();
    stage.add_spare();
    stage.agent.run(&["logout", "--all"], "").good();
    // Nobody touches it: nothing weaker takes its place.
    stage.card.touch_never();
    stage.agent.run(&["login", "prod"], "").fault_told(4, "not touched in time");
    stage.card.touch_at_once();
    // Held by another program for itself.
    // It gets the card once we have let go of it, two seconds after its last use.
    let hold = "import sys, smartcard.System as s, smartcard.scard as c\n\
                r = c.SCardEstablishContext(0)[1]\n\
                while c.SCardConnect(r, str(s.readers()[0]), c.SCARD_SHARE_EXCLUSIVE, c.SCARD_PROTOCOL_ANY)[0]: pass\n\
                print(0, flush=True)\n\
                sys.stdin.read()";
    let mut python = stage.rig.command(crate::yubikey::python("python3"));
    let mut holder = python.args(["-c", hold]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python");
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(holder.stdout.as_mut().expect("stdout")), &mut line)
        .expect("a line");
    assert_eq!(line, "0\n", "it has the card");
    let refused = stage.agent.run(&["login", "prod"], "");
    refused.fault_told(7, "another program holds the device");
    assert!(refused.stderr.contains("python"), "the holder is named: {refused:?}");
    drop(holder.stdin.take());
    holder.wait().expect("its end");
    stage.agent.run(&["login", "prod"], "").good();
}

#[test]
fn a_password_is_asked_for_once_and_kept_in_the_vault() {
    let stage = Stage::new();
    let ykman = |arguments: &[&str]| {
        let mut command = stage.rig.command(crate::yubikey::python("ykman"));
        let output = command.args(arguments).output().expect("ykman");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    ykman(&["oath", "access", "change", "-n", "hunter2"]);
    // Put in again, it says that it has one.
    stage.card.cycle();
    stage
        .agent
        .devices_until(|devices| devices.first().is_some_and(|device| device["notes"][0] == "OATH has a password"));
    let refused = stage.add(&["--name", "key"]);
    assert_eq!(refused.exit, Some(4), "nobody can be asked: {refused:?}");
}

#[test]
fn codes_agree_with_another_client_and_the_ledger_holds() {
    let stage = Stage::new();
    stage.add(&["--name", "key", "--no-touch", "--no-verify", "--account", "AWS:ada"]).good();
    let one = stage.agent.run(&["mfa", "code", "key"], "").good();
    assert_eq!(one.trim().len(), 6);
    let mut ykman = stage.rig.command(crate::yubikey::python("ykman"));
    let theirs = ykman.args(["oath", "accounts", "code", "-s", "AWS:ada"]).output().expect("ykman");
    // Of the same step, or the next one if that has begun since.
    let theirs = String::from_utf8_lossy(&theirs.stdout).trim().to_owned();
    assert_eq!(theirs.len(), 6, "{theirs}");
    stage.agent.run(&["mfa", "code", "key", "--now"], "").fault_told(4, "spent");
    let twice = stage.add(&["--name", "other", "--no-verify", "--account", "AWS:ada"]);
    assert_ne!(twice.exit, Some(0), "{twice:?}");
}

#[test]
fn one_that_is_pulled_or_bad_leaves_agent_and_vault_as_they_were() {
    let stage = Stage::new();
    stage.add(&["--name", "key", "--no-touch", "--no-verify", "--account", "AWS:ada"]).good();
    let before = stage.card.apdus();
    stage.agent.run(&["mfa", "code", "key"], "").good();
    let commands = stage.card.apdus() - before;
    assert!(commands >= 3, "{commands}");
    let vault = || std::fs::read(stage.agent.file("data/vault")).expect("a vault");
    let (pid, before) = (stage.agent.pid(), vault());
    for next in 1..=commands {
        stage.card.cut_at(next);
        stage.agent.run(&["mfa", "code", "key"], "").fault_told(7, "device");
        stage.card.plug();
        // As soon as pcscd has told of it.
        stage.agent.devices_until(|devices| devices.first().is_some_and(|device| device["serial"] == CARD));
    }
    // A reader without a card, and a card that answers badly.
    stage.card.eject();
    stage.agent.devices_until(<[_]>::is_empty);
    stage.agent.run(&["mfa", "code", "key"], "").fault_told(7, "no such device is plugged in");
    stage.card.insert();
    stage.agent.devices_until(|devices| devices.first().is_some_and(|device| device["serial"] == CARD));
    for manner in [Bad::Garbage, Bad::Short, Bad::Empty, Bad::Endless61, Bad::Status(0x6f00)] {
        stage.card.answer(Some(manner), None);
        stage.agent.run(&["mfa", "code", "key"], "").fault_told(7, "what its specification does not have");
        stage.card.answer(None, None);
    }
    assert!(vault() == before, "the vault is untouched");
    stage.agent.run(&["mfa", "code", "key"], "").good();
    assert_eq!(stage.agent.pid(), pid, "the same agent");
}
