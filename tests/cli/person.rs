//! A person at a terminal: what is asked, what is shown, what is taken from the screen again.

use crate::agent::Home;
use crate::program::OnTerminal;
use crate::{no_request, status};
use claviger::secret::{RecoveryCode, SecretText};
use claviger::wire::{Code, Event, Fault, Reply, Request, SessionRow, SlotKind, SlotProof, SlotRow};

#[test]
fn init_asks_twice_shows_the_recovery_code_and_has_it_typed_back() {
    let home = Home::new();
    home.serve("run", |request, line| match request {
        Request::Status {} => Ok(status("absent")),
        Request::Init { passphrase, .. } => {
            assert_eq!(passphrase.expose(), "correct horse");
            let typed = line.ask(Event::RecoveryCode { code: RecoveryCode::from_text("ABCDE-FGHIJ".to_owned()) });
            assert_eq!(typed.as_deref(), Some("abcde fghij"));
            Ok(Reply::Done {})
        }
        other => no_request(other),
    });
    let mut person = OnTerminal::start(&home, &["init"]);
    person.wait_for("New passphrase: ");
    person.enter_hidden("");
    person.wait_for("An empty passphrase protects nothing.");
    for (second, said) in [("correct hrose", "The two differ."), ("correct horse", "Write this recovery code")] {
        person.wait_for("New passphrase: ");
        person.enter_hidden("correct horse");
        person.wait_for("The same again: ");
        person.enter_hidden(second);
        person.wait_for(said);
    }
    person.wait_for("    ABCDE-FGHIJ");
    person.wait_for("Type it back: ");
    person.enter("ABCDE-FGHIX");
    person.wait_for("That is not it.");
    person.wait_for("Type it back: ");
    person.enter("abcde fghij");
    // Up to the explanation, and all below it cleared.
    person.wait_for("\u{1b}[8A\r\u{1b}[J");
    let ended = person.end();
    assert_eq!((ended.exit, ended.stdout.as_str()), (0, ""));
    assert_eq!(
        ended.stderr,
        "The vault is made and open. Next: claviger access-key add NAME, or claviger ssh-key new NAME\r\n"
    );
}

#[test]
fn login_opens_a_locked_vault_asks_for_a_code_and_says_who_one_is() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let home = Home::new();
    let open = AtomicBool::new(false);
    home.serve("run", move |request, line| match request {
        Request::Login { .. } if !open.load(Ordering::Relaxed) => {
            Err(Fault::new(Code::VaultLocked, "the vault is locked"))
        }
        Request::Unlock { proof: SlotProof::Passphrase(passphrase) } if passphrase.expose() == "good" => {
            open.store(true, Ordering::Relaxed);
            Ok(Reply::Done {})
        }
        Request::Unlock { .. } => Err(Fault::new(Code::VaultWrongProof, "that opens no slot")),
        Request::Login { profile } => {
            assert!(line.hello.answers);
            assert_eq!(profile, "prod");
            let code = line.ask(Event::Question { prompt: "Code of a\u{1b}da".to_owned(), echo: true });
            assert_eq!(code.as_deref(), Some("123456"));
            Ok(Reply::Session(SessionRow {
                principal: "arn:aws:iam::123456789012:user/ada".to_owned(),
                access_key_id: "ASIAIOSFODNN7EXAMPLE".parse().expect("an id"),
                expiration: "2026-11-22T13:45:00Z".to_owned(),
                seconds_left: 43_199,
            }))
        }
        other => no_request(other),
    });
    let mut person = OnTerminal::start(&home, &["login", "prod"]);
    person.wait_for("Passphrase: ");
    person.enter_hidden("bad");
    person.wait_for("that opens no slot; try again.");
    person.wait_for("Passphrase: ");
    person.enter_hidden("good");
    person.wait_for("Code of a?da: ");
    person.enter("123456");
    person.wait_for("Logged in as arn:aws:iam::123456789012:user/ada for 11 h 59 min, until 2026-11-22 13:45 UTC.");
    assert_eq!(person.end().exit, 0);
}

#[test]
fn three_wrong_passphrases_are_enough_and_a_question_may_be_left_unanswered() {
    let home = Home::new();
    home.serve("run", |request, line| match request {
        Request::Status {} => Ok(status("locked")),
        Request::Unlock { .. } => Err(Fault::new(Code::VaultWrongProof, "that opens no slot")),
        Request::Login { .. } => {
            assert_eq!(line.ask(Event::Question { prompt: "Code".to_owned(), echo: false }), None);
            Err(Fault::new(Code::MfaCodeNeeded, "no code was typed"))
        }
        other => no_request(other),
    });
    let mut person = OnTerminal::start(&home, &["unlock"]);
    for _ in 0..3 {
        person.wait_for("Passphrase: ");
        person.enter_hidden("bad");
    }
    person.wait_for("claviger: that opens no slot\r\n");
    assert_eq!(person.end().exit, 5);
    let mut person = OnTerminal::start(&home, &["login"]);
    person.wait_for("Code: ");
    person.enter_hidden("");
    person.wait_for("claviger: no code was typed\r\n");
    assert_eq!(person.end().exit, 4);
}

#[test]
fn a_cancelled_question_cancels_the_request() {
    let home = Home::new();
    let (told, asked) = std::sync::mpsc::channel();
    home.serve("run", move |_, line| {
        told.send(line.ask(Event::Question { prompt: "Code".to_owned(), echo: true })).expect("a test");
        Err(Fault::new(Code::Internal, "nobody reads this"))
    });
    let mut person = OnTerminal::start(&home, &["login"]);
    person.wait_for("Code: ");
    // The end of input, at the start of a line.
    person.press("\u{4}");
    assert_eq!(asked.recv().expect("the agent is told"), None);
    let ended = person.end();
    assert_eq!((ended.exit, ended.stderr.as_str()), (1, "claviger: cancelled\r\n"));
}

#[test]
fn a_wait_for_a_code_counts_down_and_is_erased() {
    let home = Home::new();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    home.serve("run", move |request, line| match request {
        Request::MfaCode { .. } => {
            line.event(Event::WaitingForCode { serial: "arn:aws:iam::123456789012:mfa/ada".to_owned(), seconds: 9 });
            gone.lock().expect("one test").recv().expect("a test");
            Ok(Reply::MfaCode { code: SecretText::from_text("123456".to_owned()), seconds_left: 30 })
        }
        other => no_request(other),
    });
    let mut person = OnTerminal::start(&home, &["mfa", "code"]);
    person.wait_for("\r\u{1b}[Kwaiting 9 s for the next code of ada");
    person.wait_for("\r\u{1b}[Kwaiting 8 s for the next code of ada");
    go.send(()).expect("the agent");
    let ended = person.end();
    assert_eq!((ended.exit, ended.stdout.as_str()), (0, "123456\n"));
    assert!(ended.stderr.ends_with("\r\u{1b}[K"), "{:?}", ended.stderr);
}

#[test]
fn a_device_comes_first_and_the_passphrase_where_there_is_none() {
    let home = Home::new();
    home.serve("run", |request, _| match request {
        Request::Status {} => Ok(status("locked")),
        Request::SlotList {} => {
            Ok(Reply::Slots(vec![row(1, SlotKind::Passphrase), row(3, SlotKind::Fido2), row(4, SlotKind::Recovery)]))
        }
        Request::Unlock { proof: SlotProof::Passphrase(text) } if text.expose() == "good" => Ok(Reply::Done {}),
        Request::Unlock { proof: SlotProof::Recovery(_) } => {
            Err(Fault::new(Code::VaultWrongProof, "that opens no slot"))
        }
        Request::Unlock { proof: SlotProof::Device(wanted) } if wanted.slot == Some(3) => Ok(Reply::Done {}),
        Request::Unlock { proof: SlotProof::Device(wanted) } if wanted.device.as_deref() == Some("blue") => {
            Err(Fault::new(Code::DevicePinWrong, "the PIN is wrong"))
        }
        Request::Unlock { proof: SlotProof::Device(_) } => Err(Fault::new(Code::SlotNoDevice, "none is plugged in")),
        other => no_request(other),
    });
    let mut person = OnTerminal::start(&home, &["unlock"]);
    person.wait_for("none is plugged in.\r\n");
    person.wait_for("Passphrase: ");
    person.enter_hidden("good");
    // The scripted vault stays locked; what is opened is what the status says.
    assert_eq!(person.end().exit, 0);
    for words in [&["unlock", "--no-device"][..], &["unlock", "--slot", "passphrase"], &["unlock", "--slot", "1"]] {
        let mut person = OnTerminal::start(&home, words);
        person.wait_for("Passphrase: ");
        person.enter_hidden("good");
        let ended = person.end();
        assert_eq!((ended.exit, ended.stderr.contains("none is")), (0, false), "{words:?}: {}", ended.stderr);
    }
    // One that is named stands for itself, and trouble with a device is no reason to ask for less.
    assert_eq!(OnTerminal::start(&home, &["unlock", "--slot", "3"]).end().exit, 0);
    assert_eq!(OnTerminal::start(&home, &["unlock", "--slot", "piv"]).end().exit, 4);
    assert_eq!(OnTerminal::start(&home, &["unlock", "--device", "blue"]).end().exit, 5);
    assert_eq!(OnTerminal::start(&home, &["unlock", "--slot", "9"]).end().exit, 6);
    let mut person = OnTerminal::start(&home, &["unlock", "--slot", "4"]);
    person.wait_for("Recovery code: ");
}

fn row(id: u32, kind: SlotKind) -> SlotRow {
    SlotRow { id, kind: Some(kind), added: "2026-11-22T01:00:00Z".to_owned(), device: None }
}
