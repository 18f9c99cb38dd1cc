//! The built programs behind a bad network, everything at once: each kind of `tests/chaos` spoils the calls of a profile
//! of its own, so that none may hold up another.

use crate::home::{Home, PASSPHRASE};
use crate::proxy::{Deed, ENDLESS, Harm, Kind, Outcome, Proxy, Request, kinds, naive, split};
use crate::sandbox::Sandbox;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// What the sandbox answers to this request.
fn forward(address: &str, request: &Request) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("the sandbox");
    stream.write_all(&request.raw).expect("sent");
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        if let Some((head, body)) = split(&answer) {
            let head = String::from_utf8_lossy(head).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
            if body.len() >= length.parse().expect("a number") {
                return answer;
            }
        }
        let read = stream.read(&mut piece).expect("an answer");
        answer.extend_from_slice(&piece[..read]);
    }
}

fn before(sandbox: &Sandbox) -> Proxy {
    let address = sandbox.text("endpoint").strip_prefix("http://").expect("an address").to_owned();
    Proxy::before(move |request| forward(&address, request), || ())
}

/// A home whose agent knows AWS by this network alone.
fn home(sandbox: &Sandbox, proxy: &Proxy, others: &[&str], profiles: &str) -> Home {
    let home = Home::new();
    let url = proxy.url();
    let allowed = json!([&[url.as_str()], others].concat());
    let config =
        format!("[endpoints]\nallow = {allowed}\nsts = \"{url}\"\niam = \"{url}\"\n[vault]\nargon2_memory_mib = 64\n");
    home.write("config/config.toml", &config);
    home.write("config/profiles", profiles);
    home.run(&["init", "--passphrase-fd", "0"], PASSPHRASE).good();
    home.run(&["access-key", "add", "dev", "--stdin"], &sandbox.access_key()).good();
    // Without a proof, which would cost a code.
    let add = ["mfa", "add", "--for", "dev", "--seed-stdin", "--no-verify", "--serial", sandbox.text("mfa_serial")];
    home.run(&add, sandbox.text("mfa_seed")).good();
    home
}

fn profile(name: &str, more: &str) -> String {
    format!(
        "[profile {name}]\nrole_arn = arn:aws:iam::123456789012:role/prod-admin\nsource_profile = dev\n\
         role_session_name = {name}\n{more}"
    )
}

#[test]
fn every_kind_of_bad_network_at_once_ends_each_in_its_own_fault() {
    let sandbox = Sandbox::start();
    let proxy = before(&sandbox);
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let (plain, closed) = (format!("https://{}", proxy.address), format!("http://{free}"));
    let elsewhere = [("plain-http", plain.as_str()), ("nobody", closed.as_str()), ("nowhere", "http://sts.invalid")];
    let table: Vec<Kind> = kinds();
    let mut profiles: String = (0..table.len()).map(|at| profile(&format!("kind-{at}"), "")).collect();
    for (name, url) in elsewhere {
        profiles.push_str(&profile(name, &format!("endpoint_url = {url}\n")));
    }
    profiles.push_str(&profile("good", ""));
    let home = home(&sandbox, &proxy, &elsewhere.map(|(_, url)| url), &profiles);

    for (name, _) in elsewhere {
        home.run(&["process", name], "").fault(8, "aws.unreachable");
    }
    // Nothing was sent there, so the code of this very step is still to be had.
    home.run(&["process", "good"], "").good();
    assert_eq!((sandbox.codes(), sandbox.steps().len()), (1, 1));

    let trap = TcpListener::bind("127.0.0.1:0").expect("a port");
    trap.set_nonblocking(true).expect("nonblocking");
    let (to, spoilt) = (trap.local_addr().expect("an address"), table.clone());
    proxy.set(move |request, upstream| {
        let at = request.get("RoleSessionName").strip_prefix("kind-").and_then(|at| at.parse::<usize>().ok());
        match at.and_then(|at| spoilt.get(at)) {
            Some(kind) => kind.deed(to, request, upstream),
            None => Deed::Answer(upstream(request)),
        }
    });
    // Those that take ten seconds all at once, then a few at a time: a debug build has its limits.
    let (slow, quick): (Vec<usize>, Vec<usize>) =
        (0..table.len()).partition(|at| table[*at].outcome == Outcome::Fault("aws.timed_out"));
    for batch in std::iter::once(&slow[..]).chain(quick.chunks(6)) {
        std::thread::scope(|scope| {
            for at in batch {
                let (home, kind) = (&home, table[*at]);
                scope.spawn(move || {
                    let ended = home.run(&["process", &format!("kind-{at}"), "--wait", "60"], "");
                    match kind.outcome {
                        Outcome::Session => drop(ended.good()),
                        // On a loaded machine the ten seconds may be over before the last try has failed.
                        Outcome::Fault(_) if ended.stderr.starts_with("claviger: aws.timed_out: ") => {
                            ended.fault(8, "aws.timed_out");
                        }
                        Outcome::Fault("aws.access_denied") => ended.fault(5, "aws.access_denied"),
                        Outcome::Fault(code) => ended.fault(8, code),
                    }
                });
            }
        });
    }
    for (at, kind) in table.iter().enumerate() {
        let name = format!("kind-{at}");
        let its = |request: &&Request| request.action() == "AssumeRole" && request.get("RoleSessionName") == name;
        let tries = proxy.seen().iter().filter(its).count();
        assert!((1..=5).contains(&tries), "{}: {tries} tries", kind.name);
    }
    assert_eq!(trap.accept().map(drop).expect_err("nobody came").kind(), std::io::ErrorKind::WouldBlock);

    assert!(proxy.most_open() > 1 && proxy.most_taken() < 16 * ENDLESS, "at once, and nothing was read to its end");
    proxy.no_code_twice();
    proxy.heal();
    let before = proxy.count();
    for (at, kind) in table.iter().enumerate().filter(|(_, kind)| kind.name != "a token of 64 KiB") {
        let who = home.run(&["whoami", &format!("kind-{at}"), "--json"], "").good();
        let who: Value = serde_json::from_str(&who).expect("JSON");
        assert!(who["arn"].as_str().expect("text").ends_with(&format!("/kind-{at}")), "{}: {who}", kind.name);
    }
    assert!(proxy.count() > before, "it went by the same way");
    assert_eq!((sandbox.codes(), sandbox.steps().len()), (1, 1), "one code served it all");

    claviger_agent::testing::figure("kinds of bad network at once", table.len() + elsewhere.len());
    // The control: the same connections, and a client that believes what it is told.
    let seen = proxy.seen();
    let request = seen.iter().find(|request| request.get("RoleSessionName") == "good").expect("a request");
    let redirect = table.iter().copied().find(|kind| kind.name == "redirect 307").expect("a kind");
    proxy.set(move |request, upstream| redirect.deed(to, request, upstream));
    assert_eq!(naive(proxy.address, &request.raw, Duration::from_secs(60)), Harm::Followed);
    assert!(trap.accept().is_ok(), "somebody came");
}
