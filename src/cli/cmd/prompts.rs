//! `claviger prompts`: the agent's questions, asked in this terminal, and the touches that devices wait for.

use crate::cli::args::Proof;
use crate::cli::desk::{Desk, hello, paths, unexpected};
use crate::cli::exit::Outcome;
use crate::cli::questions::{Questions, touch};
use crate::cli::terminal::Terminal;
use crate::cli::ui;
use crate::client::{Attendant, Client, Heard};
use crate::model::Label;
use crate::wire::{Answer, Code, Event, Fault, Request};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::os::fd::BorrowedFd;

/// Answer the agent's questions in this terminal, until Ctrl-C
///
/// Where the agent has to ask, such as before it signs with a key that was added by `ssh-add -c`, or for the PIN of a
/// device, it asks here, and at the same time by the program that [prompt] in config.toml names. The first answer counts.
/// A device that waits to be touched is shown here as well.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  claviger prompts")]
pub(in crate::cli) struct Prompts {}

impl Prompts {
    pub(super) fn run(self) -> Outcome {
        let terminal = std::io::stdin().is_terminal().then(Terminal::open).flatten();
        let Some(terminal) = terminal else {
            return Err(
                Fault::new(Code::PromptNoTerminal, "questions are answered at a terminal, and stdin is none").into()
            );
        };
        // Started once, if need be. An agent that is stopped later stays so.
        Desk::open(&Proof::default())?.status()?;
        let mut client = Client::connect(&paths()?, hello(true))?;
        ui::say("The agent's questions are asked here. Ctrl-C ends that.");
        let mut person = Person { terminal, questions: Questions::default(), touches: BTreeMap::new() };
        match client.stand(&Request::Prompts {}, &mut person) {
            // The end of input, on the terminal.
            Err(fault) if fault.code == Code::RequestCancelled => Ok(()),
            Err(fault) => Err(fault.into()),
            Ok(_) => Err(unexpected()),
        }
    }
}

struct Person {
    terminal: Terminal,
    questions: Questions,
    /// The devices that wait to be touched.
    touches: BTreeMap<u64, String>,
}

impl Attendant for Person {
    /// Always: what is typed while nothing is asked is no answer to what is asked next.
    fn input(&self) -> Option<BorrowedFd<'_>> {
        Some(self.terminal.input())
    }

    fn meet(&mut self, heard: Heard) -> Result<Option<Answer>, Fault> {
        let event = match heard {
            Heard::Input => return self.questions.typed(&mut self.terminal),
            Heard::Event(event) => event,
        };
        if self.questions.event(&mut self.terminal, &event)? {
            return Ok(None);
        }
        match event {
            Event::TouchNeeded { number, device, purpose, asked_by } => {
                let line = touch(&device, &purpose, &asked_by);
                self.questions.tell(&mut self.terminal, &format!("\x07{line}"))?;
                self.touches.insert(number, device);
            }
            Event::TouchOver { number } => {
                if let Some(device) = self.touches.remove(&number) {
                    let line = format!("No touch of the {} is needed any more.", Label(&device));
                    self.questions.tell(&mut self.terminal, &line)?;
                }
            }
            _ => {}
        }
        Ok(None)
    }
}
