//! `claviger prompts`: the agent's questions, asked in this terminal.

use crate::cli::args::Proof;
use crate::cli::desk::{Desk, hello, paths, unexpected};
use crate::cli::exit::Outcome;
use crate::cli::terminal::Terminal;
use crate::cli::ui;
use crate::client::{Client, Heard};
use crate::model::Message;
use crate::secret::{SecretText, TypedAnswer};
use crate::wire::{Answer, Code, Event, Fault, Request};
use std::io::IsTerminal;
use std::os::fd::AsFd;

/// The most lines of a question that are shown.
const LINES_LIMIT: usize = 16;
/// What an answer is asked for with.
const ALLOW: &str = "Allow? [y/n] ";

/// Answer the agent's questions in this terminal, until Ctrl-C
///
/// Where the agent has to ask, such as before it signs with a key that was added by `ssh-add -c`, it asks here, and at
/// the same time by the program that [prompt] in config.toml names. The first answer counts.
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
        let input = terminal.input()?;
        let mut person = Person { terminal, asked: None };
        match client.stand(&Request::Prompts {}, input.as_fd(), &mut |heard| person.meet(heard)) {
            // The end of input, on the terminal.
            Err(fault) if fault.code == Code::RequestCancelled => Ok(()),
            Err(fault) => Err(fault.into()),
            Ok(_) => Err(unexpected()),
        }
    }
}

struct Person {
    terminal: Terminal,
    /// The number of the question that is on the screen.
    asked: Option<u64>,
}

impl Person {
    fn meet(&mut self, heard: Heard) -> Result<Option<Answer>, Fault> {
        match heard {
            Heard::Event(Event::ConfirmNeeded { number, title, lines }) => {
                self.terminal.forget_typed();
                self.terminal.show(&text(&title, &lines))?;
                self.asked = Some(number);
                Ok(None)
            }
            Heard::Event(Event::ConfirmOver { number }) => {
                if self.asked == Some(number) {
                    self.asked = None;
                    self.terminal.forget_typed();
                    self.terminal.show("\r\x1b[KNo longer asked: answered elsewhere, or given up.\n")?;
                }
                Ok(None)
            }
            Heard::Event(_) => Ok(None),
            Heard::Input => {
                let typed = self.terminal.line()?;
                let Some(number) = self.asked else { return Ok(None) };
                let value = match typed.to_ascii_lowercase().as_str() {
                    "y" | "yes" => "y",
                    "n" | "no" => "n",
                    _ => {
                        self.terminal.show(ALLOW)?;
                        return Ok(None);
                    }
                };
                self.asked = None;
                Ok(Some(Answer { value: Some(TypedAnswer::from_text(value.to_owned())), number: Some(number) }))
            }
        }
    }
}

/// A question with a bell before it.
fn text(title: &str, lines: &[String]) -> String {
    let mut text = format!("\x07\n{}\n", Message(title));
    for line in lines.iter().take(LINES_LIMIT) {
        text.push_str(&format!("  {}\n", Message(line)));
    }
    if lines.len() > LINES_LIMIT {
        text.push_str("  …\n");
    }
    text + ALLOW
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn a_question_cannot_draw_on_the_terminal_or_push_itself_off_it() {
        let shown = text("Sign?\u{1b}[2J", &["a\nb".to_owned(), "c\u{202e}".to_owned()]);
        assert_eq!(shown, "\u{7}\nSign??[2J\n  a?b\n  c?\nAllow? [y/n] ");
        let long = text("Sign?", &vec!["x".repeat(1000); 100]);
        assert_eq!(long.lines().count(), 20);
        assert!(long.lines().all(|line| line.chars().count() < 310));
    }
}
