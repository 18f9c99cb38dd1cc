//! The way into an EC2 instance: `claviger ssh`, plain ssh and scp by the printed lines, with OpenSSH's own client and
//! server, and the sandbox that says which pushed keys live.

use crate::home::{Agent, Ended, Home, PASSPHRASE, run};
use crate::instance::{Host, WEB};
use crate::prompts::attend;
use crate::sandbox::Sandbox;
use crate::ssh::{records, socket};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const STOPPED: &str = "i-0a11ce0000000002b";
const OPTIONS: [&str; 6] = ["-F", "none", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"];

/// A home with an open vault, a device, and these keys.
fn ready(sandbox: &Sandbox, keys: &[(&str, &str)]) -> Home {
    let home = Home::ready(sandbox, &[]);
    for (name, kind) in keys {
        home.run(&["ssh-key", "new", name, "--type", kind], "").good();
    }
    home
}

impl Home {
    fn claviger_ssh(&self, words: &[&str]) -> Ended {
        self.run(&[&["ssh", "--profile", "prod", "--region", "us-east-1"], words].concat(), "")
    }

    /// `claviger ssh` with a command that says that it is inside.
    fn inside(&self, host: &Host, instance: &str, more: &[&str]) -> Ended {
        let (port, destination) = (host.port(), host.at(instance));
        let own = [&["--port", &port, &destination], more, &["--"]].concat();
        self.claviger_ssh(&[&own, &OPTIONS[..], &["echo", "inside"]].concat())
    }

    /// A program of OpenSSH in this home, without a terminal.
    fn openssh(&self, name: &str, words: &[&str]) -> Ended {
        run(self.program_command(Path::new(name)).args(words), "")
    }

    /// The printed lines, as a file for `ssh -F`.
    fn ssh_config(&self, more: &[&str]) -> String {
        self.ssh_config_where("/usr/bin:/bin", more)
    }

    fn ssh_config_where(&self, path: &str, more: &[&str]) -> String {
        let words = [&["ssh", "--profile", "prod", "--region", "us-east-1", "--config"], more].concat();
        let lines = run(self.command("claviger").env("PATH", path).args(words), "").good();
        self.write("ssh_config", &lines);
        self.file("ssh_config").display().to_string()
    }

    fn known_instances(&self) -> PathBuf {
        self.file("data/known_instances")
    }
}

fn is_inside(ended: &Ended) -> bool {
    ended.exit == Some(0) && ended.stdout == "inside\n"
}

fn is_refused(ended: &Ended) -> bool {
    ended.exit == Some(255) && ended.stdout.is_empty() && ended.stderr.contains("Permission denied (publickey)")
}

#[test]
fn an_instance_lets_in_who_was_pushed_and_again_after_the_keys_life() {
    let sandbox = Sandbox::start();
    let mut host = Host::start(&sandbox);
    let many = ["a", "b", "c", "d", "e", "f"].map(|name| (name, "ed25519"));
    let home = ready(&sandbox, &[&many[..], &[("work", "ed25519"), ("rsa", "rsa-3072")]].concat());
    let (port, agent) = (host.port(), format!("IdentityAgent={}", socket(&home).display()));

    // The control: the same agent, the same key, and nothing pushed.
    home.write("work.pub", &home.run(&["ssh-key", "public", "work"], "").good());
    let public = home.file("work.pub").display().to_string();
    let pins = format!("UserKnownHostsFile={}", home.file("other_hosts").display());
    let direct = ["-p", &port, "-i", &public, "-o", "IdentitiesOnly=yes", "-o", &agent, "-o", &pins];
    let direct = [
        &OPTIONS[..],
        &direct,
        &["-o", "StrictHostKeyChecking=accept-new", "-l", &host.user, "127.0.0.1", "echo", "inside"],
    ]
    .concat();
    let refused = home.openssh("/usr/bin/ssh", &direct);
    assert!(is_refused(&refused), "{refused:?}");

    // By name, id and private address; by the key named, and by the first.
    for (instance, more) in
        [("web-1", &["--key", "work"][..]), (WEB, &["--key", "rsa"]), ("10.0.1.10", &["--key", "work"]), ("web-1", &[])]
    {
        let ended = home.inside(&host, instance, more);
        assert!(is_inside(&ended), "{instance}: {ended:?}");
    }
    let pinned = fs::read_to_string(home.known_instances()).expect("pins");
    assert_eq!(pinned.lines().count(), 1, "{pinned}");
    assert!(pinned.starts_with(&format!("[{WEB}]:{port} ssh-ed25519 ")), "{pinned}");

    // Plain ssh and scp, by the lines.
    let config = home.ssh_config(&["--key", "work"]);
    let by_lines = ["-F", &config, "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"];
    let plain = |words: &[&str]| home.openssh("/usr/bin/ssh", &[&by_lines[..], &["-p", &port], words].concat());
    let at_web = host.at(WEB);
    let ended = plain(&[&at_web, "echo", "inside"]);
    assert!(is_inside(&ended), "{ended:?}");
    home.write("sent", "a file\n");
    let (sent, there) = (home.file("sent").display().to_string(), host.folder.path().join("got"));
    let copy = |from: &str, to: &str| {
        home.openssh("/usr/bin/scp", &[&by_lines[..], &["-q", "-P", &port, from, to]].concat()).good();
    };
    copy(&sent, &format!("{at_web}:{}", there.display()));
    assert_eq!(fs::read_to_string(&there).expect("the copy"), "a file\n");
    copy(&format!("{at_web}:{}", there.display()), &home.file("back").display().to_string());
    assert_eq!(fs::read_to_string(home.file("back")).expect("the copy"), "a file\n");

    // The pushed keys have ended, and each new connection pushes its own.
    sandbox.advance(61_000);
    assert!(is_refused(&home.openssh("/usr/bin/ssh", &direct)));
    for ended in [home.inside(&host, "web-1", &["--key", "work"]), plain(&[&at_web, "echo", "inside"])] {
        assert!(is_inside(&ended), "{ended:?}");
    }
    // What goes on after its login pushes nothing more; a shared connection's next session neither.
    let pushes = sandbox.calls("SendSSHPublicKey");
    let control = format!("ControlPath={}", home.file("run/master").display());
    let shared = |more: &[&str]| plain(&[&["-o", &control], more].concat());
    shared(&["-o", "ControlMaster=yes", "-o", "ControlPersist=60", "-fN", &at_web]).good();
    sandbox.advance(61_000);
    assert!(is_inside(&shared(&[&at_web, "echo", "inside"])));
    shared(&["-O", "exit", &at_web]).good();
    assert_eq!(sandbox.calls("SendSSHPublicKey"), pushes + 1);

    // On record, each with AWS's request.
    let pushed: Vec<Value> = records(&home, "ssh.push");
    let done: Vec<&Value> = pushed.iter().filter(|record| record["outcome"] == "done").collect();
    assert_eq!(done.len() as u64, sandbox.calls("SendSSHPublicKey"));
    let first = done[0];
    assert_eq!((&first["ssh"]["host"], &first["ssh"]["user"]), (&json!(WEB), &json!(host.user)));
    assert_eq!((&first["ssh"]["name"], &first["subject"]["profile"]), (&json!("work"), &json!("prod")));
    let shown = run(Command::new("ssh-keygen").args(["-l", "-f", &public]), "").good();
    assert_eq!(shown.split(' ').nth(1), first["ssh"]["key"].as_str());
    assert_eq!(first["aws"]["operation"], "ec2-instance-connect:SendSSHPublicKey");
    assert!(first["aws"]["request_id"].as_str().is_some_and(|id| id.len() > 8), "{first}");

    // Another host key at the same place, of whatever type: refused, and told what to do.
    let unpin = format!("hint: ssh-keygen -R '[{WEB}]:{port}' -f '{}'\n", home.known_instances().display());
    for other in ["other", "curve"] {
        host.replace(&sandbox, other);
        for ended in [home.inside(&host, "web-1", &["--key", "work"]), plain(&[&at_web, "echo", "inside"])] {
            assert!(ended.exit == Some(255) && ended.stdout.is_empty(), "{other}: {ended:?}");
            assert!(ended.stderr.contains("shows another host key than at the first login"), "{other}: {ended:?}");
            assert!(ended.stderr.contains(&unpin), "{other}: {ended:?}");
        }
        assert_eq!(fs::read_to_string(home.known_instances()).expect("pins"), pinned, "{other}");
    }
    let command = unpin.strip_prefix("hint: ").expect("a command");
    home.openssh("/bin/sh", &["-c", command]).good();
    assert!(is_inside(&home.inside(&host, "web-1", &["--key", "work"])), "unpinned, it is pinned anew");
}

/// The session manager, played: `aws` says what it was told, has credentials, and is the instance's sshd.
#[test]
fn the_session_manager_is_asked_by_the_aws_cli_and_missed_by_name() {
    let sandbox = Sandbox::start();
    let host = Host::start(&sandbox);
    let home = ready(&sandbox, &[("work", "ed25519")]);
    let at_web = host.at("web-1");
    let by = ["ssh", "--profile", "prod", "--region", "us-east-1", "--session-manager", &at_web, "--"];
    let words = [&by[..], &OPTIONS, &["echo", "inside"]].concat();
    // A PATH of its own: the machine may have them.
    fs::create_dir(home.file("bin")).expect("a folder");
    for name in ["setsid", "ssh"] {
        std::os::unix::fs::symlink(format!("/usr/bin/{name}"), home.file("bin").join(name)).expect("a link");
    }
    let path = home.file("bin").display().to_string();
    let with_path = |words: &[&str]| run(home.command("claviger").env("PATH", &path).args(words), "");
    with_path(&words).fault_told(6, "there is no program aws, which --session-manager needs");
    let script = format!(
        "#!/bin/sh\necho \"$@\" >'{}'\ntest -n \"$AWS_CONTAINER_CREDENTIALS_FULL_URI\" || exit 9\n\
         exec /usr/sbin/sshd -i -f '{}'\n",
        home.file("told").display(),
        host.folder.path().join("sshd_config").display(),
    );
    home.write("bin/aws", &script);
    home.set_mode("bin/aws", 0o755);
    with_path(&words).fault_told(6, "there is no program session-manager-plugin");
    home.write("bin/session-manager-plugin", "#!/bin/sh\n");
    home.set_mode("bin/session-manager-plugin", 0o755);
    assert_eq!(sandbox.calls("SendSSHPublicKey"), 0, "found missing before anything is asked");

    let ended = with_path(&words);
    assert!(is_inside(&ended), "{ended:?}");
    let wanted =
        format!("ssm start-session --target {WEB} --document-name AWS-StartSSHSession --parameters portNumber=22\n");
    assert_eq!(fs::read_to_string(home.file("told")).expect("words"), wanted);
    fs::remove_file(home.file("told")).expect("the words");
    // By the lines, where ssh starts it.
    let config = home.ssh_config_where(&path, &["--session-manager"]);
    let mut plain = home.program_command(Path::new("/usr/bin/ssh"));
    let ssh = ["-F", &config, "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", &host.at(WEB), "echo", "inside"];
    let ended = run(plain.env("PATH", &path).args(ssh), "");
    assert!(is_inside(&ended), "{ended:?}");
    assert_eq!(fs::read_to_string(home.file("told")).expect("words"), wanted);
    assert_eq!(sandbox.calls("SendSSHPublicKey"), 2);
}

#[test]
fn what_stands_in_the_way_is_told_with_what_to_do() {
    let sandbox = Sandbox::start();
    let home = Home::ready(&sandbox, &[]);
    let ssh = |words: &[&str]| home.claviger_ssh(words);
    ssh(&["web-1"]).fault_told(2, "no RSA or Ed25519 key");
    ssh(&["web-1"]).fault_told(2, "hint: claviger ssh-key new NAME");
    home.run(&["ssh-key", "new", "curve", "--type", "ecdsa-p256"], "").good();
    ssh(&["web-1"]).fault_told(2, "no RSA or Ed25519 key");
    ssh(&["--key", "curve", "web-1"]).fault_told(2, "curve is ecdsa-sha2-nistp256");
    ssh(&["--key", "nobody", "web-1"]).fault_told(6, "is called nobody");
    home.run(&["ssh-key", "new", "work"], "").good();

    ssh(&[STOPPED]).fault_told(5, "does not run: it is stopped");
    ssh(&["batch-1"]).fault_told(5, &format!("hint: aws ec2 start-instances --instance-ids {STOPPED}"));
    for unknown in ["nobody", "web-*", "i-0123456789abcdef0", "i-0123", "10.9.9.9"] {
        ssh(&[unknown]).fault_told(6, &format!("the account has no instance {unknown} in us-east-1"));
    }
    ssh(&["mi-0123456789abcdef0"]).fault_told(5, "hint: aws ssm start-session --target mi-0123456789abcdef0");
    for twin in ["i-0a11ce0000000008a", "i-0a11ce0000000009a"] {
        sandbox.launch(&json!({"region": "us-east-1", "id": twin, "name": "twin", "private_ip": "10.0.1.77"}));
    }
    let several = ssh(&["twin"]);
    several.fault_told(
        2,
        "several instances are called twin: i-0a11ce0000000008a (running), i-0a11ce0000000009a (running)",
    );
    several.fault_told(2, "hint: claviger ssh i-0a11ce0000000008a");
    let prod = ["ssh", "--profile", "plain", "web-1"];
    home.run(&prod, "").fault_told(2, "profile plain names no region");
    home.run(&[&prod[..], &["--region", "eu-central-1"]].concat(), "")
        .fault_told(5, "AWS denied ec2:DescribeInstances");
    home.run(&["ssh", "--profile", "prod", "web-1"], "").fault_told(6, "has no instance web-1 in eu-central-1");

    sandbox.fault("SendSSHPublicKey", 4, &json!({"throttle": 400}));
    ssh(&["web-1"]).fault_told(8, "AWS is throttling ec2-instance-connect:SendSSHPublicKey");
    let failed = records(&home, "ssh.push");
    assert!(failed.iter().any(|record| record["error"] == "aws.throttled"), "{failed:?}");
    sandbox.fault("SendSSHPublicKey", 1, &json!("captive_portal"));
    ssh(&["web-1"]).fault_told(8, "is not one that AWS gives");
    assert_eq!(sandbox.calls("SendSSHPublicKey"), 5);
    ssh(&["-x@web-1"]).fault_told(2, "");
    ssh(&["a;b@web-1"]).fault_told(2, "a user is 1 to 32 letters");

    // Nobody listens there: as a ProxyCommand it is told with its code.
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    let proxy = ssh(&["--port", &free.to_string(), "--proxy", &format!("ada@{WEB}")]);
    proxy.fault_told(8, &format!("{WEB} does not answer at 127.0.0.1 port {free}: "));
    home.run(&["lock"], "").good();
    ssh(&["web-1"]).fault_of_person();
    home.run(&["unlock", "--passphrase-fd", "0"], PASSPHRASE).good();
}

/// As IAM refuses it, and as Instance Connect has it in its own list of errors (SendSSHPublicKey, AuthException).
#[test]
fn who_may_not_push_is_told_by_each_way_in_and_goes_in_once_allowed() {
    let sandbox = Sandbox::start();
    let host = Host::start(&sandbox);
    let home = ready(&sandbox, &[("work", "ed25519")]);
    let config = home.ssh_config(&[]);
    let (port, at_web) = (host.port(), host.at(WEB));
    let plain = ["-F", &config, "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-p", &port, &at_web, "echo", "inside"];
    let told = "AWS denied ec2-instance-connect:SendSSHPublicKey: User is not authorized";
    let hint = "\nhint: claviger profile explain prod\n";
    for code in ["AccessDeniedException", "AuthException"] {
        let refuse = json!({"refuse": {"status": 403, "code": code, "message": "User is not authorized"}});
        sandbox.fault("SendSSHPublicKey", 3, &refuse);
        let denied = home.inside(&host, "web-1", &[]);
        denied.fault_told(5, told);
        assert!(denied.stderr.ends_with(hint), "{code}: {denied:?}");
        home.claviger_ssh(&["--port", &port, "--proxy", &at_web]).fault_told(5, told);
        // Plain ssh ends as it does where its ProxyCommand ends, and has passed on what that said.
        let denied = home.openssh("/usr/bin/ssh", &plain);
        assert!(denied.exit == Some(255) && denied.stdout.is_empty(), "{code}: {denied:?}");
        assert!(denied.stderr.contains(told) && denied.stderr.contains(hint), "{code}: {denied:?}");
    }
    assert_eq!(sandbox.calls("SendSSHPublicKey"), 6, "a refusal is not tried again");
    let outcomes: Vec<Value> = records(&home, "ssh.push").into_iter().map(|record| record["error"].clone()).collect();
    assert_eq!(outcomes.iter().filter(|error| **error == "aws.access_denied").count(), 6, "{outcomes:?}");
    assert!(!home.known_instances().exists(), "no host key of an instance that was never reached");
    for ended in [home.inside(&host, "web-1", &[]), home.openssh("/usr/bin/ssh", &plain)] {
        assert!(is_inside(&ended), "{ended:?}");
    }
}

/// A person takes longer to say yes than the key lives. Time passes while they are asked: the sandbox's by more than the
/// key's life, and the agent's boot clock by as much as each round says.
#[test]
fn a_key_that_ended_while_a_person_was_asked_is_pushed_again_before_the_signature_leaves() {
    let sandbox = Sandbox::start();
    let host = Host::start(&sandbox);
    let home = Home::at(&sandbox);
    home.write("ahead", "0");
    // Nothing is left out of it but the kernel's word on the time.
    let mut agent = Agent::spawn(home.weak_agent_command("").env("CLAVIGER_BOOT_AHEAD", home.file("ahead")));
    assert_eq!(agent.word(), "ready");
    home.furnish(&sandbox, &[]);
    home.run(&["ssh-key", "new", "asking", "--confirm"], "").good();
    let config = home.ssh_config(&[]);
    let (port, at_web) = (host.port(), host.at(WEB));
    let plain = ["-F", &config, "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-p", &port, &at_web, "echo", "inside"];
    let mut person = attend(&home);
    person.ask(3, &json!({"status": {}}));
    let mut ahead = 0;
    // What a login by `by` ends as, and its pushes, where the agent's clock goes so many milliseconds while it asks.
    let mut slowly = |by: &(dyn Fn() -> Ended + Sync), agents_millis: u64, then: &Value| {
        let before = sandbox.calls("SendSSHPublicKey");
        let ended = std::thread::scope(|scope| {
            let login = scope.spawn(by);
            let number = loop {
                let heard = person.hear();
                if let needed @ Value::Object(_) = &heard["event"]["confirm_needed"] {
                    break needed["number"].clone();
                }
            };
            ahead += agents_millis;
            home.write("ahead", &ahead.to_string());
            sandbox.advance(61_000);
            if !then.is_null() {
                sandbox.fault("SendSSHPublicKey", 1, then);
            }
            person.say(&json!({"id": 2, "answer": {"number": number, "value": "y"}}));
            login.join().expect("no panic")
        });
        (ended, sandbox.calls("SendSSHPublicKey") - before)
    };
    let plainly = || home.openssh("/usr/bin/ssh", &plain);
    let by_claviger = || home.inside(&host, "web-1", &[]);
    // The control: where the agent takes the push for a fresh one, the key has ended at the signature.
    let (ended, pushes) = slowly(&plainly, 0, &Value::Null);
    assert!(is_refused(&ended) && pushes == 1, "{pushes}: {ended:?}");
    for by in [&plainly as &(dyn Fn() -> Ended + Sync), &by_claviger] {
        let (ended, pushes) = slowly(by, 30_000, &Value::Null);
        assert!(is_inside(&ended) && pushes == 2, "{pushes}: {ended:?}");
    }
    // Where AWS refuses by then, sshd has the last word.
    let refuse = json!({"refuse": {"status": 403, "code": "AccessDeniedException", "message": "no"}});
    let (ended, pushes) = slowly(&plainly, 30_000, &refuse);
    assert!(is_refused(&ended) && pushes == 2, "{pushes}: {ended:?}");
    let pushed = records(&home, "ssh.push");
    let failed: Vec<&Value> = pushed.iter().filter(|record| record["outcome"] == "failed").collect();
    assert!(failed.len() == 1 && failed[0]["error"] == "aws.access_denied", "{failed:?}");
}
