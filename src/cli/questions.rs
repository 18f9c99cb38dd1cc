//! The agent's questions and touches as a terminal shows them: for `prompts`, and for every verb that waits.

use super::terminal::{Changed, Terminal};
use crate::model::{Label, Message};
use crate::secret::{SecretText, TypedAnswer};
use crate::wire::{Answer, Event, Fault};

/// The most lines of a question that are shown.
const LINES_LIMIT: usize = 16;
/// What an answer is asked for with.
const ALLOW: &str = "Allow? [y/n] ";

/// The question that is on the screen, if any.
#[derive(Default)]
pub(super) struct Questions {
    open: Option<Open>,
}

struct Open {
    number: u64,
    prompt: String,
    /// With a secret.
    hidden: Option<Changed>,
}

impl Questions {
    /// Whether something is to be typed.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Shows a question, or takes one from the screen. False where the event is neither.
    pub(super) fn event(&mut self, terminal: &mut Terminal, event: &Event) -> Result<bool, Fault> {
        if matches!(event, Event::ConfirmNeeded { .. } | Event::PinNeeded { .. }) {
            // What it shows of what is typed is as before, for the next one to change.
            self.open = None;
        }
        match event {
            Event::ConfirmNeeded { number, title, lines } => {
                let open = Open { number: *number, prompt: ALLOW.to_owned(), hidden: None };
                self.show(terminal, &text(title, lines), open)?;
            }
            Event::PinNeeded { number, device, wanted, purpose, asked_by, tries_left, problem } => {
                let title = format!("Enter the {} of {}", Label(wanted), Label(device));
                let tries = tries_left.map(tries);
                let lines = problem.iter().chain([purpose, asked_by]).cloned().chain(tries);
                let prompt = format!("{}, or Enter alone to cancel: ", Label(wanted));
                let open = Open { number: *number, prompt, hidden: Some(terminal.hide_typing()?) };
                self.show(terminal, &text(&title, &lines.collect::<Vec<String>>()), open)?;
            }
            Event::ConfirmOver { number } | Event::PinOver { number } => {
                if self.open.take_if(|open| open.number == *number).is_some() {
                    terminal.forget_typed();
                    terminal.show("\r\x1b[KNo longer asked: answered elsewhere, or given up.\n")?;
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Reads what was typed; the answer, if it is one.
    pub(super) fn typed(&mut self, terminal: &mut Terminal) -> Result<Option<Answer>, Fault> {
        let typed = terminal.whole_line()?;
        let Some(open) = &self.open else { return Ok(None) };
        let value = match (&open.hidden, typed.trim().to_ascii_lowercase().as_str()) {
            (Some(_), _) => typed.to_string(),
            (None, "y" | "yes") => "y".to_owned(),
            (None, "n" | "no") => "n".to_owned(),
            (None, _) => {
                terminal.show(ALLOW)?;
                return Ok(None);
            }
        };
        let number = Some(open.number);
        self.open = None;
        Ok(Some(Answer { value: Some(TypedAnswer::from_text(value)), number }))
    }

    /// Shows a line between questions; one that is open is asked anew below it.
    pub(super) fn tell(&self, terminal: &mut Terminal, line: &str) -> Result<(), Fault> {
        let prompt = self.open.as_ref().map(|open| open.prompt.as_str()).unwrap_or_default();
        terminal.show(&format!("\r\x1b[K{line}\n{prompt}"))
    }

    fn show(&mut self, terminal: &mut Terminal, text: &str, open: Open) -> Result<(), Fault> {
        terminal.forget_typed();
        terminal.show(&format!("{text}{}", open.prompt))?;
        self.open = Some(open);
        Ok(())
    }
}

/// What a person reads of a device that waits.
pub(super) fn touch(device: &str, purpose: &str, asked_by: &str) -> String {
    format!("Touch your {}: {} {}", Label(device), Label(purpose), Label(asked_by))
}

fn tries(left: u32) -> String {
    match left {
        1 => "It is the last try.".to_owned(),
        left => format!("{left} tries are left."),
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
    text
}

#[cfg(test)]
mod tests {
    use super::{text, touch};

    #[test]
    fn a_question_cannot_draw_on_the_terminal_or_push_itself_off_it() {
        let shown = text("Sign?\u{1b}[2J", &["a\nb".to_owned(), "c\u{202e}".to_owned()]);
        assert_eq!(shown, "\u{7}\nSign??[2J\n  a?b\n  c?\n");
        let long = text("Sign?", &vec!["x".repeat(1000); 100]);
        assert_eq!(long.lines().count(), 19);
        assert!(long.lines().all(|line| line.chars().count() < 310));
    }

    #[test]
    fn neither_can_a_touch() {
        let line = touch("YubiKey\u{1b}[2J", "To log in\n.", "Asked by \u{202e}ssh.");
        assert_eq!(line, "Touch your YubiKey?[2J: To log in?. Asked by ?ssh.");
    }
}
