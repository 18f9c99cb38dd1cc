//! How a running program notices that keys come and go.

use crate::softkey::Bridge;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

const WATCH: &str = include_str!("watch.py");

#[test]
fn a_program_that_runs_already_is_told_by_inotify() {
    let bridge = Bridge::start();
    let mut command = bridge.command(&["python3", "-c", WATCH]);
    let mut watch = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python");
    let mut lines = BufReader::new(watch.stdout.take().expect("stdout")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    assert_eq!(next(), "watching");
    let mut first = bridge.key("FIRST", &[]);
    assert_eq!(next(), "created hidraw0 listed 34");
    let second = bridge.key("SECOND", &["--unplugged"]);
    second.tell("plug");
    assert_eq!(next(), "created hidraw1 listed 34");
    first.unplug();
    assert_eq!(next(), "deleted hidraw0");
    first.plug();
    assert_eq!((next().as_str(), first.node.as_str()), ("created hidraw0 listed 34", "/dev/hidraw0"));
    second.cut(1);
    bridge.run(&["fido2-token", "-I", "/dev/hidraw1"]).bad("");
    assert_eq!(next(), "deleted hidraw1");
    // A key whose process dies is pulled as well.
    drop(first);
    assert_eq!(next(), "deleted hidraw0");
    drop(watch.stdin.take());
    assert!(watch.wait().expect("its end").success());
}
