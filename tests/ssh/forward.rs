//! A forwarded agent, over one hop and two, with keys that go where `ssh-add -h` says and nowhere else.

use crate::agent::Program;
use crate::host::{HOW, Host, ssh, user};
use crate::stage::{Ended, Stage};

on_both!(two_hops_are_allowed_and_refused, a_far_side_sees_the_keys_that_lead_on, what_the_far_side_may_change);

/// Three hosts that let in the keys `free` and `bound`, and the stage with them.
fn three(program: Program) -> (Stage, [Host; 3]) {
    let stage = Stage::new(program);
    ["free", "bound"].iter().for_each(|name| stage.key(name, "ed25519", "256"));
    let authorized = format!("{}{}", stage.read("free.pub"), stage.read("bound.pub"));
    let hosts = ["alpha", "beta", "gamma"].map(|name| Host::start(&stage, name, &authorized));
    (stage, hosts)
}

/// Adds the key `bound` for these destinations.
fn bind(stage: &Stage, destinations: &[&str]) {
    let known = stage.path("known_hosts");
    let mut words = vec!["-q", "-H", &known];
    destinations.iter().for_each(|destination| words.extend(["-h", destination]));
    stage.hand_over(&words, "bound");
}

/// Logs in to the first host with the agent forwarded, and from there to the second.
fn hop(stage: &Stage, first: &str, second: &str) -> Ended {
    ssh(stage, &["-A"], first, &format!("ssh -F {} {second} 'cat \"$SSH_USER_AUTH\"'", stage.path("config")))
}

fn two_hops_are_allowed_and_refused(program: Program) {
    let (stage, _hosts) = three(program);
    let me = user(&stage);
    bind(&stage, &["alpha", &format!("alpha>{me}@beta"), "alpha>nobody@gamma"]);
    let by = format!("publickey {}", stage.public("bound"));
    assert_eq!(ssh(&stage, &[], "alpha", HOW).good().trim(), by);
    assert_eq!(hop(&stage, "alpha", "beta").good().trim(), by);
    // Past the first host alone, as another user, and without the hop.
    ssh(&stage, &[], "beta", HOW).bad();
    ssh(&stage, &[], "gamma", HOW).bad();
    hop(&stage, "alpha", "gamma").bad();
    hop(&stage, "alpha", "alpha").bad();
    // A data blob that is no login.
    assert!(!stage.signs("bound"));
    stage.run_with(&["ssh-keygen", "-Y", "sign", "-n", "file", "-f", &stage.path("bound.pub")], b"data").bad();

    // The control: a key without destinations goes everywhere.
    stage.hand_over(&["-q"], "free");
    let by = format!("publickey {}", stage.public("free"));
    assert_eq!(hop(&stage, "alpha", "gamma").good().trim(), by);
    assert_eq!(ssh(&stage, &[], "gamma", HOW).good().trim(), by);
    assert!(stage.signs("free"));
}

fn a_far_side_sees_the_keys_that_lead_on(program: Program) {
    let (stage, _hosts) = three(program);
    bind(&stage, &["alpha", "beta", "alpha>beta"]);
    stage.hand_over(&["-q"], "free");
    let seen = |host: &str| {
        let told = ssh(&stage, &["-A"], host, "ssh-add -L").good();
        told.lines().filter_map(|line| line.split(' ').nth(2)).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(stage.listed(), ["bound", "free"]);
    assert_eq!(seen("alpha"), ["bound", "free"]);
    assert_eq!(seen("beta"), ["free"]);
    let further = ssh(&stage, &["-A"], "alpha", &format!("ssh -A -F {} beta ssh-add -L", stage.path("config")));
    let told = further.good();
    assert!(told.contains(" free") && !told.contains(" bound"), "{told}");
}

fn what_the_far_side_may_change(program: Program) {
    let (stage, _hosts) = three(program);
    stage.hand_over(&["-q"], "free");
    let bound = stage.path("bound");
    let ours = program.is_ours();
    let far = |words: &str| ssh(&stage, &["-A"], "alpha", words);
    let check = |words: &str| if ours { drop(far(words).bad()) } else { drop(far(words).good()) };
    check(&format!("ssh-add -q {bound}"));
    assert_eq!(stage.listed().len(), if ours { 1 } else { 2 });
    check(&format!("ssh-add -q -t 3600 {bound}"));
    check(&format!("ssh-add -q -d {}", stage.path("free.pub")));
    check("ssh-add -q -D");
    assert_eq!(stage.listed().len(), usize::from(ours));
    // Neither takes a library.
    far("ssh-add -q -s /usr/lib/x86_64-linux-gnu/libc.so.6 </dev/null").bad();
    far("ssh-add -q -e /usr/lib/x86_64-linux-gnu/libc.so.6 </dev/null").bad();
    if ours {
        assert!(stage.signs("free"), "and what is there serves on");
    }
}
