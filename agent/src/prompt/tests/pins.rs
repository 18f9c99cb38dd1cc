//! Secrets of devices, by programs.

use super::{Desk, nobody, read_until};
use crate::prompt::{NoPin, PinQuestion, Programs, Unasked};
use claviger::secret::SecretText;
use std::io::Write;
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt::MakeWriter;

pub(super) fn pin() -> PinQuestion {
    PinQuestion {
        device: "YubiKey (serial 1234)".to_owned(),
        wanted: "PIV PIN".to_owned(),
        purpose: "To log in as ada at 100 % db.".to_owned(),
        asked_by: "Asked by /usr/bin/ssh (pid 7).".to_owned(),
        tries_left: Some(3),
        problem: None,
        least: 6,
        most: 8,
    }
}

impl Desk {
    /// A pinentry that writes down what it hears, and says this to GETPIN.
    fn pin_pinentry(&self, answer: &str) -> Programs {
        let body = format!(
            "echo 'OK hello'\nwhile read -r line; do\n  echo \"$line\" >> \"$HOME/heard\"\n  \
             case $line in GETPIN) {answer} ;; OPTION*) echo 'ERR 174 unknown option' ;; *) echo OK ;; esac\ndone"
        );
        Programs { pinentry: Some(self.script("pinentry", &body)), ..self.programs() }
    }

    async fn pin(&self, programs: Programs, question: &PinQuestion) -> Result<String, NoPin> {
        self.prompts(programs).pin(question, nobody()).await.map(|pin| pin.expose().to_owned())
    }
}

const HEAD: &str = "GETINFO flavor\nOPTION display=:7\nOPTION lc-ctype=C.UTF-8\nOPTION lc-messages=C.UTF-8\nSETTITLE claviger\nSETOK OK\n\
                    SETCANCEL Cancel\nSETDESC Enter the PIV PIN of YubiKey (serial 1234)%0A%0ATo log in as ada at 100 %25 \
                    db.%0AAsked by /usr/bin/ssh (pid 7).%0A3 tries are left.\n";

#[tokio::test]
async fn pinentry_is_told_what_is_wanted_and_gives_what_was_typed() {
    for (answer, wanted) in [
        ("echo 'D 123456'; echo OK", "123456"),
        ("echo 'S PIN_REPEATED'; echo 'D 12%25 456'; echo OK", "12% 456"),
        ("echo 'D 123'; echo 'D 456'; echo OK", "123456"),
        ("echo 'D ééé'; echo OK", "ééé"),
    ] {
        let desk = Desk::new();
        assert_eq!(desk.pin(desk.pin_pinentry(answer), &pin()).await.unwrap(), wanted);
        let heard = desk.read("heard");
        assert_eq!(heard, format!("{HEAD}SETPROMPT PIV PIN:\nGETPIN\n"));
        assert!(!heard.contains("cache") && !heard.contains("SETKEYINFO"));
    }
}

#[tokio::test]
async fn what_cannot_be_a_pin_is_asked_for_again_and_not_for_ever() {
    let desk = Desk::new();
    // Nothing, too little, and then what will do; the third time its first answer is wrong again.
    let counted = "echo x >> \"$HOME/count\"; case $(wc -l < \"$HOME/count\") in 1) echo OK ;; \
                   2) echo 'D 12345'; echo OK ;; *) echo 'D 12345678'; echo OK ;; esac";
    assert_eq!(desk.pin(desk.pin_pinentry(counted), &pin()).await.unwrap(), "12345678");
    let rest = "SETPROMPT PIV PIN:\nGETPIN\n";
    let again = |why: &str| format!("{HEAD}SETERROR {why}\n{rest}");
    let wanted =
        [format!("{HEAD}{rest}"), again("Nothing was typed."), again("It has at least 6 characters.")].concat();
    assert_eq!(desk.read("heard"), wanted);
    for bad in ["D 123456789", "D 1234%0A56", "D "] {
        let desk = Desk::new();
        let none = desk.pin(desk.pin_pinentry(&format!("echo '{bad}'; echo OK")), &pin()).await;
        assert!(matches!(none, Err(NoPin::Unasked(Unasked::Unusable))), "{bad}: {none:?}");
        assert_eq!(desk.read("heard").matches("GETPIN").count(), 3, "{bad}");
    }
    let wider = PinQuestion { least: 0, most: usize::MAX, ..pin() };
    let long = "x".repeat(256);
    let desk = Desk::new();
    assert_eq!(desk.pin(desk.pin_pinentry(&format!("echo 'D {long}'; echo OK")), &wider).await.unwrap(), long);
    let none = desk.pin(desk.pin_pinentry(&format!("echo 'D {long}x'; echo OK")), &wider).await;
    assert!(matches!(none, Err(NoPin::Unasked(Unasked::BadAnswer("pinentry")))), "{none:?}");
}

#[tokio::test]
async fn a_problem_of_the_device_is_told() {
    let desk = Desk::new();
    let question = PinQuestion { problem: Some("The PIN is wrong.".to_owned()), tries_left: Some(1), ..pin() };
    desk.pin(desk.pin_pinentry("echo 'D 123456'; echo OK"), &question).await.unwrap();
    let heard = desk.read("heard");
    assert!(heard.contains("%0AIt is the last try.\nSETERROR The PIN is wrong.\nSETPROMPT"), "{heard}");
}

#[tokio::test]
async fn a_pinentry_may_be_cancelled_and_may_make_no_sense() {
    for (answer, refused) in [
        ("echo 'ERR 83886179 Operation cancelled <Pinentry>'", true),
        ("echo 'ERR 83886194 Not confirmed <Pinentry>'", true),
        ("echo 'S PASSWORD_FROM_CACHE'; echo 'D 123456'; echo OK", false),
        ("echo 'D 12%2'; echo OK", false),
        ("echo 'D123456'; echo OK", false),
        ("printf 'D \\377\\377\\377\\377\\377\\377\\nOK\\n'", false),
        ("echo 'INQUIRE QUALITY 1'", false),
        ("exit 0", false),
    ] {
        let desk = Desk::new();
        match desk.pin(desk.pin_pinentry(answer), &pin()).await {
            Err(NoPin::Refused) => assert!(refused, "{answer}"),
            Err(NoPin::Unasked(Unasked::BadAnswer("pinentry"))) => assert!(!refused, "{answer}"),
            other => panic!("{answer}: {other:?}"),
        }
    }
    // Data where none was asked for.
    let desk = Desk::new();
    let body = "echo OK\nwhile read -r line; do echo 'D 123456'; echo OK; done";
    let programs = Programs { pinentry: Some(desk.script("pinentry", body)), ..desk.programs() };
    let none = desk.pin(programs, &pin()).await;
    assert!(matches!(none, Err(NoPin::Unasked(Unasked::BadAnswer("pinentry")))), "{none:?}");
}

#[tokio::test]
async fn askpass_gives_its_first_line() {
    for (body, wanted) in [
        ("echo 123456", Some("123456")),
        ("printf '12 456\\r\\nmore'", Some("12 456")),
        ("printf 123456", Some("123456")),
        ("echo 123456; exit 1", None),
        ("exit 0", None),
        ("kill -9 $$", None),
    ] {
        let desk = Desk::new();
        let body = format!("echo \"$#|$1|$SSH_ASKPASS_PROMPT|\" > \"$HOME/heard\"\n{body}");
        let mut programs = desk.askpass(&body);
        programs.environment.push(("SSH_ASKPASS_PROMPT".into(), "confirm".into()));
        let given = desk.pin(programs, &pin()).await;
        assert_eq!(given.as_deref().ok(), wanted, "{body}");
        let problem = if body.ends_with("exit 0") { "Nothing was typed.\n" } else { "" };
        let text = "Enter the PIV PIN of YubiKey (serial 1234)\nTo log in as ada at 100 % db.\nAsked by /usr/bin/ssh (pid \
                    7).\n3 tries are left.";
        assert_eq!(desk.read("heard"), format!("1|{problem}{text}||\n"));
    }
}

/// All that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_secret_is_in_a_log_or_in_what_a_program_is_given() {
    const CANARY: &str = "canary42";
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_max_level(tracing::Level::TRACE).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    tracing::trace!("the control");
    let told =
        "tr '\\0' '\\n' < /proc/$$/cmdline >> \"$HOME/told\"; tr '\\0' '\\n' < /proc/$$/environ >> \"$HOME/told\"";
    for answer in ["echo 'D canary42'; echo OK", "echo 'D canary42'; echo 'ERR 62'", "echo 'D canary42'; echo '%'"] {
        let desk = Desk::new();
        let given = desk.pin(desk.pin_pinentry(&format!("{told}; {answer}")), &pin()).await;
        assert!(!format!("{:?}", given.as_ref().err()).contains(CANARY));
        assert!(!desk.read("told").is_empty() && !desk.read("told").contains(CANARY), "{}", desk.read("told"));
    }
    let desk = Desk::new();
    let tooled = format!("{told}; echo canary42");
    assert_eq!(desk.pin(desk.askpass(&tooled), &pin()).await.unwrap(), CANARY);
    assert!(!desk.read("told").contains(CANARY));
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("the control") && !log.contains(CANARY), "{log}");
}

#[tokio::test]
async fn a_real_pinentry_reads_a_pin_and_shows_nothing_of_it() {
    let desk = Desk::new();
    let (mut screen, name, _line) = super::real::terminal();
    let programs = super::real::on_terminal(&desk, &name);
    let question = PinQuestion { problem: Some("The PIN is wrong.".to_owned()), ..pin() };
    let person = tokio::task::spawn_blocking(move || {
        let mut seen = read_until(&mut screen, "PIV PIN:");
        screen.write_all(b"12%345\n").unwrap();
        seen.push_str(&read_until(&mut screen, "\n"));
        (seen, screen)
    });
    assert_eq!(desk.pin(programs, &question).await.unwrap(), "12%345");
    let (seen, _screen) = person.await.unwrap();
    for text in ["Enter the PIV PIN of YubiKey (serial 1234)", "at 100 % db.", "The PIN is wrong.", "3 tries are left."]
    {
        assert!(seen.contains(text), "{seen}");
    }
    assert!(!seen.contains("12%345"), "{seen}");
}
