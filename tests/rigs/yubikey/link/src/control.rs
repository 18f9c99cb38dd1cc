//! The control's socket: a line in, a line out.

use crate::rig::{Finger, Manner, Rig};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

pub(crate) fn listen(rig: &Rig, path: &Path) -> io::Result<()> {
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    let rig = rig.clone();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let rig = rig.clone();
            thread::spawn(move || serve(&rig, &stream));
        }
    });
    Ok(())
}

fn serve(rig: &Rig, mut stream: &UnixStream) {
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = obey(rig, &words).unwrap_or_else(|| format!("error: what is {line:?}?"));
        if stream.write_all(format!("{answer}\n").as_bytes()).is_err() {
            return;
        }
        if words == ["quit"] {
            std::process::exit(0);
        }
    }
}

/// What is answered; none if nobody knows the words.
fn obey(rig: &Rig, words: &[&str]) -> Option<String> {
    let outcome = |done: io::Result<()>| done.map_or_else(|error| format!("error: {error}"), |()| "ok".to_owned());
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    match words {
        ["touch"] => return Some(yes(rig.touch())),
        ["apdus"] => return Some(rig.apdus().to_string()),
        ["wait", "touch"] if rig.asks() => return Some("waiting".to_owned()),
        ["wait", "touch"] => return Some("error: nothing asks for a touch".to_owned()),
        ["wait", "reader"] if rig.is_read(true) => {}
        ["wait", "reader"] => return Some("error: no reader".to_owned()),
        ["wait", "none"] if rig.is_read(false) => {}
        ["wait", "none"] => return Some("error: a reader still has it".to_owned()),
        ["wait", "apdu", number] if rig.comes(number.parse().ok()?) => {}
        ["wait", "apdu", _] => return Some("error: no APDU came".to_owned()),
        ["plug"] => return Some(outcome(rig.plug())),
        ["cycle"] => {
            rig.unplug();
            return Some(outcome(rig.plug()));
        }
        ["touch", "auto"] => rig.finger(Finger::Auto),
        ["touch", "manual"] => rig.finger(Finger::Manual),
        ["touch", "never"] => rig.finger(Finger::Never),
        ["touch", "delay", time] => rig.finger(Finger::Delay(Duration::from_millis(time.parse().ok()?))),
        ["unplug"] => rig.unplug(),
        ["eject"] => rig.insert(false),
        ["insert"] => rig.insert(true),
        ["mute", "on"] => rig.mute(true),
        ["mute", "off"] => rig.mute(false),
        ["mute", next] => rig.mute_at(next.parse().ok()?),
        ["cut", "off"] => rig.cut(0, false),
        ["cut", next] => rig.cut(next.parse().ok()?, false),
        ["cut", next, "after"] => rig.cut(next.parse().ok()?, true),
        ["answer", manner] => rig.manner(read_manner(manner)?, None),
        ["answer", manner, only] => rig.manner(read_manner(manner)?, Some(u8::from_str_radix(only, 16).ok()?)),
        // The reader is gone when this is answered.
        ["quit"] => {
            rig.unplug();
            rig.is_read(false);
        }
        _ => return None,
    }
    Some("ok".to_owned())
}

fn read_manner(word: &str) -> Option<Manner> {
    Some(match word {
        "off" => Manner::Well,
        "garbage" => Manner::Garbage,
        "short" => Manner::Short,
        "empty" => Manner::Empty,
        "endless61" => Manner::Endless,
        status => Manner::Status(u16::from_str_radix(status, 16).ok()?),
    })
}
