//! Keys and their rules, beside what OpenSSH's own programs make of the same.

use super::{Surroundings, destination, export, generate, import, page, put, row};
use crate::jobs::Error;
use crate::ssh::codec::Request;
use crate::ssh::key::{self, SoftKey};
use crate::ssh::{Constraints, Destination, Place, limits};
use crate::testing::{FakeClock, FakeEntropy, MemoryDisk};
use crate::vault::{Items, SshKey};
use crate::world::{WallTime, World};
use claviger::model::Name;
use claviger::secret::{Passphrase, SecretText, SshKeyFile};
use claviger::wire::{SshKeyFormat, SshKeyKind, SshKeyOptions};
use data_encoding::BASE64;
use std::fs::Permissions;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

/// 2026-11-22.
const NOW: WallTime = WallTime(1_795_305_600_000);

fn around(known_hosts: &str) -> Surroundings {
    let files = [(PathBuf::from("/home/ada/.ssh/known_hosts"), known_hosts.as_bytes().to_vec())].into();
    let disk = Arc::new(MemoryDisk::with(files));
    let world = World { clock: FakeClock::at(NOW), entropy: FakeEntropy::seeded(7), disk };
    Surroundings { world, home: PathBuf::from("/home/ada") }
}

fn vector(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/ssh-keys").join(name);
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The type and the base64 of a public key.
fn public(name: &str) -> String {
    vector(&format!("{name}.pub")).split(' ').take(2).collect::<Vec<_>>().join(" ")
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn file(name: &str) -> SshKeyFile {
    SshKeyFile::from_text(vector(name))
}

fn imported(name_here: &str, from: &str, options: &SshKeyOptions) -> Result<SshKey, Error> {
    import((&file(from), None), None, &name(name_here), options, &around(""))
}

fn key(from: &str) -> SshKey {
    imported("x", from, &SshKeyOptions::default()).unwrap_or_else(|error| panic!("{from}: {error}"))
}

/// The error's variant, without what it holds.
fn variant<T>(result: Result<T, Error>) -> String {
    let error = result.err().expect("refused");
    format!("{error:?}").split('(').next().unwrap_or_default().to_owned()
}

fn run(command: &mut Command) -> Output {
    let program = command.get_program().to_owned();
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| {
        panic!("{}: {error}; on Debian it comes with apt-get install openssh-client", program.display())
    })
}

fn private(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}

/// The destinations that `ssh-add -h` sends with a key, looked up in this file; None where it refuses.
fn by_ssh_add(destinations: &[&str], known_hosts: &Path) -> Option<Vec<Destination>> {
    let folder = tempfile::tempdir().unwrap();
    let (key, socket) = (private(folder.path(), "key", &vector("ed25519.openssh")), folder.path().join("socket"));
    let listener = UnixListener::bind(&socket).unwrap();
    let agent = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut frames = Vec::new();
        let mut length = [0; 4];
        while stream.read_exact(&mut length).is_ok() {
            let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
            stream.read_exact(&mut frame).unwrap();
            frames.push(frame);
            stream.write_all(&[0, 0, 0, 1, 6]).unwrap();
        }
        frames
    });
    let mut command = Command::new("ssh-add");
    command.arg("-q").arg("-H").arg(known_hosts).args(destinations.iter().flat_map(|text| ["-h", text]));
    let output = run(command.arg(&key).env("SSH_AUTH_SOCK", &socket));
    // One that refuses has not connected, or says nothing.
    drop(std::os::unix::net::UnixStream::connect(&socket));
    let frames = agent.join().unwrap();
    if !output.status.success() {
        return None;
    }
    let Ok(Request::Add(add)) = Request::parse(frames.last().expect("a key")) else { panic!("no key") };
    let mut destinations = match add.decode(SoftKey::decode) {
        Ok((_, _, constraints)) => constraints.destinations,
        // It leaves it to the agent to refuse one without a host.
        Err(key::Error::Message(crate::ssh::Error::DestinationInconsistent)) => return None,
        Err(error) => panic!("{error}"),
    };
    // It sends a key as often as it stands there.
    for place in destinations.iter_mut().flat_map(|one| one.from.iter_mut().chain([&mut one.to])) {
        let mut seen = Vec::new();
        place.keys.retain(|key| {
            let fresh = !seen.contains(key);
            seen.push(key.clone());
            fresh
        });
    }
    Some(destinations)
}

fn by_us(destinations: &[&str], known_hosts: &str) -> Result<Vec<Destination>, Error> {
    let texts: Vec<String> = destinations.iter().map(|text| (*text).to_owned()).collect();
    destination::read_all(&texts, &around(known_hosts))
}

fn known_hosts() -> String {
    let (ed25519, rsa, ecdsa, other) =
        (public("ed25519"), public("rsa-2048"), public("ecdsa-256"), public("ecdsa-384"));
    format!(
        "# a comment with a host: alpha.example {rsa}\n\
         alpha.example,192.0.2.7 {ed25519} ada@somewhere\n\
         \t alpha.example  {rsa}\r\n\
         alpha.example {ed25519}\n\
         [alpha.example]:2222 {ecdsa}\n\
         *.wild.example,!not.wild.example {other}\n\
         Mixed.Example {rsa}\n\
         @cert-authority *.corp.example {ecdsa}\n\
         @revoked gone.example {rsa}\n\
         @unknown marked.example {rsa}\n\
         @cert-authority @revoked twice.example {rsa}\n\
         broken.example ssh-ed25519 AAAA!\n\
         short.example ssh-ed25519\n\
         typed.example ssh-rsa {}\n\
         fe80::1 {ed25519}\n\
         no.newline {rsa}",
        ed25519.split_once(' ').unwrap().1
    )
}

#[test]
fn a_host_is_named_by_its_key() {
    let name = |key: &str, text: &str| {
        let blob = BASE64.decode(public(key).split_once(' ').unwrap().1.as_bytes()).unwrap();
        destination::host_name(&blob, &around(text))
    };
    assert_eq!(name("ed25519", &known_hosts()).as_deref(), Some("alpha.example"));
    assert_eq!(name("ecdsa-256", &known_hosts()).as_deref(), Some("[alpha.example]:2222"));
    assert_eq!(name("rsa-2048", &known_hosts()), None, "revoked");
    assert_eq!(name("ecdsa-384", &known_hosts()), None, "patterns");
    assert_eq!(name("rsa-3072", &known_hosts()), None, "nobody's");
    let (key, long) = (public("ed25519"), "x".repeat(2000));
    assert_eq!(name("ed25519", &format!("|1|c2FsdA==|aGFzaA== {key}\n@cert-authority a {key}\n{long} {key}\n")), None);
    assert_eq!(name("ed25519", &format!("*.wild,!not,one,two {key}")).as_deref(), Some("one"));
}

#[test]
fn hosts_are_looked_up_as_by_ssh_add() {
    let folder = tempfile::tempdir().unwrap();
    let plain = private(folder.path(), "plain", &known_hosts());
    // It takes no file with a bad line, and keeps patterns and markers as they are.
    let bad = ["broken", "short", "typed", "marked", "twice"];
    let text: Vec<String> = known_hosts().lines().map(str::to_owned).collect();
    let sound: Vec<String> = text.into_iter().filter(|line| bad.iter().all(|bad| !line.contains(bad))).collect();
    let hashed = private(folder.path(), "hashed", &(sound.join("\n") + "\n"));
    run(Command::new("ssh-keygen").arg("-H").arg("-f").arg(&hashed));
    let is_hashed = std::fs::read_to_string(&hashed).unwrap();
    assert!(is_hashed.matches("|1|").count() >= 5 && !is_hashed.contains("192.0.2.7"), "{is_hashed}");
    let mut found = 0;
    for path in [&plain, &hashed] {
        let text = std::fs::read_to_string(path).unwrap();
        for destinations in [
            &["alpha.example"][..],
            &["ada@alpha.example"],
            &["a*@192.0.2.7"],
            &["[alpha.example]:2222"],
            &["alpha.example>root@one.wild.example"],
            &["alpha.example", "alpha.example>web.corp.example", "two.wild.example"],
            &["web.corp.example"],
            &["fe80::1"],
            &["no.newline"],
            &["not.wild.example"],
            &["wild.example"],
            &["gone.example"],
            &["marked.example"],
            &["twice.example"],
            &["broken.example"],
            &["short.example"],
            &["typed.example"],
            &["192.0.2.8"],
            &["root@alpha.example>alpha.example"],
            &["ada@"],
            &["alpha.example>"],
        ] {
            let (theirs, ours) = (by_ssh_add(destinations, path), by_us(destinations, &text));
            found += usize::from(theirs.is_some());
            assert_eq!(ours.ok(), theirs, "{destinations:?} in {}", path.display());
        }
    }
    assert_eq!(found, 18, "the control: so many are known");
}

#[test]
fn names_are_compared_in_lower_case_and_a_revoked_key_is_left_out() {
    let text = known_hosts();
    assert_eq!(&*by_us(&["MIXED.example"], &text).unwrap()[0].to.host, "mixed.example");
    // OpenSSH means to take the brackets off as well, and forgets one.
    assert_eq!(&*by_us(&["[alpha.example]"], &text).unwrap()[0].to.host, "alpha.example");
    let revoked = format!("{text}\n@revoked * {}\n", public("rsa-2048"));
    assert_eq!(by_us(&["alpha.example"], &text).unwrap()[0].to.keys.len(), 2);
    assert_eq!(by_us(&["alpha.example"], &revoked).unwrap()[0].to.keys.len(), 1);
    assert_eq!(variant(by_us(&["no.newline"], &revoked)), "SshHostUnknown");
}

#[test]
fn a_destination_that_says_nothing_or_too_much_is_refused_by_its_rule() {
    let long = |length| "h".repeat(length);
    let users = [format!("{}@alpha.example", long(limits::USER_PATTERN + 1)), format!("x@{}", long(1026))];
    for text in [
        "",
        "@",
        "@alpha.example",
        "ada@",
        ">",
        "a>",
        ">a",
        "a>b>c",
        "ada@a>b",
        "alpha .example",
        "a\nb",
        "a\0b",
        "[]",
        &users[0],
        &users[1],
    ] {
        assert_eq!(variant(by_us(&[text], &known_hosts())), "SshDestination", "{text:?}");
    }
    let many = vec!["alpha.example"; limits::DESTINATIONS + 1];
    assert_eq!(variant(by_us(&many, &known_hosts())), "SshDestination");
    let options = SshKeyOptions { destinations: vec!["alpha.example".to_owned(); 1024], ..SshKeyOptions::default() };
    let refused = generate(SshKeyKind::Ed25519, &name("x"), &options, &around(&known_hosts()));
    assert_eq!(variant(refused), "SshDestination", "more than a vault's item may carry");
}

#[test]
fn the_reader_of_known_hosts_withstands_damage() {
    use crate::testing::parsers::{Parser, Verdict};
    let text = known_hosts();
    let parser = Parser {
        name: "ssh-known-hosts",
        more: vec![text.clone().into_bytes()],
        tokens: &[
            b"|1|",
            b"|",
            b"@cert-authority ",
            b"@revoked ",
            b"alpha.example",
            b"*",
            b"?",
            b"!",
            b",",
            b"\n",
            b" ",
            b"\t",
            b"ssh-ed25519 ",
            b"AAAA",
            b"=",
            b"#",
            b"[",
            b"]:2222",
        ],
        taken: 200,
        refusals: &["unknown"],
        parse: &|input| match Place::known("alpha.example", [input]) {
            None => Verdict::none("unknown"),
            Some(place) => {
                let destinations = vec![Destination { from: None, to: place, user: None }];
                let constraints = Constraints { destinations, ..Constraints::default() };
                assert!(Constraints::decode(&constraints.encode()) == Ok(constraints), "the door cannot read it");
                Verdict::Accepted
            }
        },
    };
    parser.withstands_damage();
}

#[test]
fn a_key_has_the_rules_it_was_given_and_else_the_usual_ones() {
    let usual = key("ed25519.openssh");
    assert_eq!((usual.comment.as_str(), usual.namespaces.join(" ").as_str()), ("ed25519@host", "git file"));
    assert!(usual.destinations.is_empty() && usual.lifetime.is_none() && !usual.confirm && !usual.any_data);
    assert_eq!(key("ed25519.pkcs8").comment, "x", "no comment in the file: its name");
    let options = SshKeyOptions {
        any_data: true,
        comment: Some(" prod\nkey\u{7} ".to_owned()),
        confirm: true,
        destinations: vec!["alpha.example>ada@one.wild.example".to_owned(), "Alpha.Example".to_owned()],
        lifetime: Some(600),
        namespaces: ["git", "claviger@example", "git"].map(str::to_owned).into(),
    };
    let made = generate(SshKeyKind::EcdsaP256, &name("prod"), &options, &around(&known_hosts())).unwrap();
    let shown = row(&name("prod"), &made);
    assert_eq!((shown.comment.as_str(), shown.lifetime, shown.bits), ("prod?key?", Some(600), 256));
    assert_eq!(shown.destinations, ["alpha.example>ada@one.wild.example", "alpha.example"]);
    assert_eq!(shown.namespaces, ["git", "claviger@example"]);
    assert!(shown.confirm && shown.any_data && shown.added == "2026-11-22T00:00:00Z", "{shown:?}");
    assert!(shown.public.unwrap().ends_with(" prod?key?"));
    let kept = Constraints::decode(&made.destinations).unwrap();
    assert!(kept.destinations.len() == 2 && !kept.confirm && kept.lifetime.is_none(), "destinations alone");

    let with = |change: fn(&mut SshKeyOptions)| {
        let mut options = SshKeyOptions::default();
        change(&mut options);
        variant(imported("x", "ed25519.openssh", &options))
    };
    for change in [
        (|options| options.lifetime = Some(0)) as fn(&mut SshKeyOptions),
        |options| options.lifetime = Some(86_401),
        |options| options.namespaces = vec![String::new()],
        |options| options.namespaces = vec!["a b".to_owned()],
        |options| options.namespaces = vec!["a\0".to_owned()],
        |options| options.namespaces = vec!["x".repeat(257)],
        |options| options.namespaces = (0..33).map(|number| number.to_string()).collect(),
    ] {
        assert_eq!(with(change), "SshOption");
    }
    assert_eq!(with(|options| options.comment = Some("x".repeat(limits::COMMENT + 1))), "SshKey");
}

#[test]
fn a_certificate_goes_with_its_key_until_it_ends() {
    let certified = |from: &str, line: &str| {
        import((&file(from), None), Some(line), &name("x"), &SshKeyOptions::default(), &around(""))
    };
    let line = vector("ed25519-cert.pub");
    let stored = certified("ed25519.openssh", &line).unwrap();
    let shown = row(&name("x"), &stored);
    assert_eq!((shown.algorithm.as_str(), shown.bits), ("ssh-ed25519-cert-v01@openssh.com", 256));
    assert_eq!(shown.fingerprint, row(&name("x"), &key("ed25519.openssh")).fingerprint);
    assert_eq!(shown.public.as_deref(), Some(line.trim()));
    let (file, certificate) = export(&stored, (SshKeyFormat::Openssh, None), &*around("").world.entropy).unwrap();
    assert_eq!(certificate.as_deref(), Some(line.trim()));
    let again = key::import(file.expose().as_bytes(), None).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(again.key.line("ed25519@host"), vector("ed25519.pub").trim());
    match certified("ed25519.openssh", &vector("rsa-2048-cert.pub")) {
        Err(Error::SshKey(key::Error::CertificateOfAnotherKey)) => {}
        other => panic!("{:?}", other.err()),
    }
    for junk in
        ["", "x", "ssh-ed25519", "ssh-ed25519 !", &vector("ed25519.pub"), "ssh-ed25519-cert-v01@openssh.com AAAA"]
    {
        assert_eq!(variant(certified("ed25519.openssh", junk)), "SshCertificateMalformed", "{junk:?}");
    }

    let folder = tempfile::tempdir().unwrap();
    let authority = private(folder.path(), "ca", &vector("rsa-2048.openssh"));
    let public = private(folder.path(), "key.pub", &vector("ed25519.pub"));
    let sign = |times: &str| {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-I", "id", "-n", "ada", "-V", times, "-s"]).arg(&authority).arg(&public);
        let output = run(command.env("TZ", "UTC"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::read_to_string(folder.path().join("key-cert.pub")).unwrap()
    };
    assert_eq!(variant(certified("ed25519.openssh", &sign("20261101:20261122"))), "SshCertificateExpired");
    assert!(certified("ed25519.openssh", &sign("20261101:20261122000001")).is_ok());
    assert!(certified("ed25519.openssh", &sign("20270101:20270102")).is_ok(), "not yet valid is not over");
}

#[test]
fn what_a_file_refuses_is_told_as_it_is() {
    let phrase = |text: &str| Passphrase::from_text(text.to_owned());
    let opened = |from: &str, phrase: Option<Passphrase>| {
        import((&file(from), phrase.as_ref()), None, &name("x"), &SshKeyOptions::default(), &around(""))
    };
    for (from, given, error) in [
        ("ed25519-encrypted.openssh", None, key::Error::PassphraseNeeded),
        ("ed25519-encrypted.ppk", Some("wrong"), key::Error::PassphraseWrong),
        ("refused-dsa.openssh", None, key::Error::UnsupportedType { kind: "dsa" }),
        ("refused-rsa-1024.pem", None, key::Error::RsaTooSmall { bits: 1024 }),
        ("ed25519.pub", None, key::Error::PublicKeyOnly),
    ] {
        match opened(from, given.map(phrase)) {
            Err(Error::SshKey(found)) => assert_eq!(found, error, "{from}"),
            other => panic!("{from}: {:?}", other.err()),
        }
    }
    assert!(opened("ed25519-encrypted.openssh", Some(phrase("correct horse"))).is_ok());
}

#[test]
fn a_name_and_a_public_half_are_taken_once() {
    let mut items = Items::default();
    put(&mut items, name("one"), key("ed25519.openssh")).unwrap();
    assert_eq!(variant(put(&mut items, name("one"), key("rsa-2048.openssh"))), "SshKeyExists");
    match put(&mut items, name("two"), key("ed25519.ppk")) {
        Err(Error::SshKeySame(other)) => assert_eq!(other.as_str(), "one"),
        other => panic!("{:?}", other.err()),
    }
    // A certificate is another identity than its key.
    let certified = (&file("ed25519.openssh"), None);
    let line = vector("ed25519-cert.pub");
    let key = import(certified, Some(&line), &name("two"), &SshKeyOptions::default(), &around("")).unwrap();
    put(&mut items, name("two"), key).unwrap();
    assert_eq!(items.ssh_keys.len(), 2);
}

#[test]
fn a_list_comes_in_pages_that_fit_into_a_line() {
    let mut items = Items::default();
    let long = SshKeyOptions { comment: Some("\"".repeat(limits::COMMENT)), ..SshKeyOptions::default() };
    let one = imported("x", "ed25519.openssh", &long).unwrap();
    items.ssh_keys = (0..100).map(|number| (name(&format!("key-{number:03}")), one.clone())).collect();
    let (mut seen, mut pages) = (0, 0);
    loop {
        let rows = page(&items, seen);
        if rows.is_empty() {
            break;
        }
        assert!(rows.iter().all(|row| row.public.is_none()));
        assert_eq!(rows[0].name.as_str(), format!("key-{seen:03}"));
        assert!(serde_json::to_vec(&rows).unwrap().len() < claviger::wire::LINE_LIMIT / 2);
        (seen, pages) = (seen + rows.len(), pages + 1);
    }
    assert!(seen == 100 && pages > 3, "{seen} in {pages} pages");
}
