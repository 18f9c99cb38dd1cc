//! A FIDO2 security key in software. Its far end is `bridge.c`, which makes it a hidraw node; what a hand can do to a key
//! comes by a control socket. README.md has the words.

mod cable;
mod control;
mod ctaphid;
mod firmware;
mod options;
mod panel;
mod presence;

use crate::cable::Cable;
use crate::options::Options;
use crate::panel::Panel;
use std::io::{Read, Write};
use std::sync::{Arc, mpsc};
use std::{io, process, thread};

fn main() {
    let options = Options::read(std::env::args().skip(1)).unwrap_or_else(|complaint| {
        eprintln!("claviger-softkey: {complaint}");
        process::exit(2);
    });
    if let Err(error) = run(&options) {
        eprintln!("claviger-softkey: {error}");
        process::exit(1);
    }
}

fn run(options: &Options) -> io::Result<()> {
    let panel = Arc::new(Panel::new(options.touch, !options.unplugged));
    control::listen(&options.control, &panel)?;
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        process::exit(0);
    });
    if options.unplugged {
        say("ready unplugged");
    }
    let mut said = options.unplugged;
    loop {
        panel.wait_for_plug();
        let (events, arrived) = mpsc::channel();
        let cable = Cable::plug(options, &events)?;
        panel.plugged(cable.node(), events.clone());
        if !said {
            said = true;
            say(&format!("ready {}", cable.node()));
        }
        firmware::power(options, &panel, cable, events, arrived);
        if !panel.unplugged() {
            return Ok(()); // the bridge is gone
        }
    }
}

fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
