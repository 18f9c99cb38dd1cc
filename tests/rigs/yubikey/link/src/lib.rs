//! A card as a process: the reader at one end (`pcscd/reader.c`), a test at the other. `README.md` has the commands.

mod apdu;
mod control;
mod rig;

pub use apdu::{Command, Framer};
pub use rig::{Moment, Rig};

use rig::Gone;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// A status word (ISO 7816-4 section 5.1.3).
pub type Status = u16;

/// What a card does with whole commands. Long answers and chains are none of its business.
pub trait Card {
    /// Its answer to reset.
    fn atr(&self) -> &[u8];
    /// Power came: whatever was verified is forgotten, keys and counters stay.
    fn reset(&mut self);
    /// Data of any length and a status word. It may wait for a touch in `moment`.
    fn command(&mut self, command: &Command, moment: &Moment) -> (Vec<u8>, Status);
    /// The instruction that asks for the rest of a long answer.
    fn more(&self) -> u8 {
        0xC0
    }
}

/// The options that every card has: `--bus FOLDER`, `--control SOCKET`, and others by name.
pub struct Options(Vec<String>);

impl Options {
    /// Those of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self(std::env::args().skip(1).collect())
    }

    /// What stands behind an option.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        let at = self.0.iter().position(|word| word == name)?;
        self.0.get(at + 1).map(String::as_str)
    }
}

/// Plugs the card in, says `ready`, and serves it until stdin ends or the control says `quit`.
///
/// # Errors
/// The folder of the bus or the control's socket cannot be used.
pub fn run(options: &Options, product: &str, card: &mut dyn Card) -> io::Result<()> {
    let missing = |name: &str| io::Error::other(format!("{name} is missing"));
    let bus = PathBuf::from(options.value("--bus").ok_or_else(|| missing("--bus"))?);
    let control = PathBuf::from(options.value("--control").ok_or_else(|| missing("--control"))?);
    let serial = options.value("--serial").unwrap_or("1");
    let (rig, commands) = Rig::new(bus, format!("{product}-{serial}"));
    control::listen(&rig, &control)?;
    rig.plug()?;
    // Whoever started it is gone.
    std::thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0)
    });
    println!("ready");
    for (number, stream) in commands {
        // An end of the line is a reader that went away, or a key that was pulled.
        let _ = converse(&stream, &rig, card);
        let _ = stream.shutdown(Shutdown::Both);
        rig.powered(false);
        rig.forget(number);
    }
    Ok(())
}

fn converse(mut stream: &UnixStream, rig: &Rig, card: &mut dyn Card) -> io::Result<()> {
    let mut framer = Framer::default();
    loop {
        let mut head = [0u8; 5];
        stream.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let mut body = vec![0u8; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut body)?;
        let answer = match kind {
            b'U' | b'D' => {
                framer = Framer::default();
                card.reset();
                if kind == b'U' { rig.is_inserted().then(|| card.atr().to_vec()) } else { Some(Vec::new()) }
            }
            _ => match exchange(&mut framer, rig, card, &body) {
                Ok(answer) => answer,
                Err(Gone) => return Ok(()),
            },
        };
        let (state, answer) = answer.map_or((1, Vec::new()), |answer| (0, answer));
        let length = u32::try_from(answer.len()).unwrap_or(0).to_be_bytes();
        stream.write_all(&[&[state][..], &length, &answer].concat())?;
        if kind == b'U' {
            rig.powered(true);
        }
    }
}

/// What goes back for an APDU; none without a card in the reader.
fn exchange(framer: &mut Framer, rig: &Rig, card: &mut dyn Card, apdu: &[u8]) -> Result<Option<Vec<u8>>, Gone> {
    let moment = rig.arrive()?;
    if !rig.is_inserted() {
        return Ok(None);
    }
    let answer = framer.answer(card, apdu, &moment);
    rig.leave(&moment, apdu, answer)
}
