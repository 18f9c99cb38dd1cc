//! The control socket: one line in, one line out.

use crate::panel::{Answer, Panel, Touch};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::{process, thread};

pub(crate) fn listen(path: &Path, panel: &Arc<Panel>) -> io::Result<()> {
    let listener = UnixListener::bind(path)?;
    let panel = panel.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let panel = panel.clone();
            thread::spawn(move || serve(&stream, &panel));
        }
    });
    Ok(())
}

fn serve(stream: &UnixStream, panel: &Panel) {
    let mut out = stream;
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = obey(&words, panel).unwrap_or_else(|| "err not understood".to_owned());
        if writeln!(out, "{answer}").is_err() {
            return;
        }
    }
}

fn obey(words: &[&str], panel: &Panel) -> Option<String> {
    match words {
        ["touch", how @ ..] => {
            let touch = Touch::read(how)?;
            panel.change(|state| (state.touch, state.pressed) = (touch, false));
        }
        ["press"] => {
            let heard = panel.change(|state| {
                state.pressed = state.waiting.is_some();
                state.pressed
            });
            if !heard {
                return Some("err no touch is waited for".to_owned());
            }
        }
        ["wait", "touch"] => panel.wait_for_touch(),
        ["mute", "on"] => panel.change(|state| state.mute = true),
        ["mute", "off"] => panel.change(|state| state.mute = false),
        ["answer", how] => {
            let answer = Answer::read(how)?;
            panel.change(|state| state.answer = answer);
        }
        ["unplug"] => panel.unplug(),
        ["plug"] => return Some(format!("ok {}", panel.plug())),
        ["cycle"] => {
            panel.unplug();
            return Some(format!("ok {}", panel.plug()));
        }
        ["cut", number] => {
            let number = number.parse().ok()?;
            panel.change(|state| state.cut = Some(number));
        }
        ["cut-answer", number] => {
            let number = number.parse().ok()?;
            panel.change(|state| state.cut_answer = Some(number));
        }
        ["wait", "reports", number] => panel.wait_for_reports(number.parse().ok()?),
        ["wait", "unplugged"] => panel.wait_for_unplugged(),
        ["reports"] => return Some(format!("ok {}", panel.look().reports)),
        ["stat"] => return Some(format!("ok {}", panel.look().line())),
        ["quit"] => process::exit(0),
        _ => return None,
    }
    Some("ok".to_owned())
}
