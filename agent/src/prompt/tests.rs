//! The room with programs that behave, and with programs that do not.

use super::{Asked, Asking, Programs, Prompts, Question, Unasked, Verdict};
use crate::ask::Audience;
use crate::config::Prompt as SettingsOfPrompt;
use crate::testing::FakeClock;
use crate::world::{WallTime, ended};
use claviger::secret::{SecretText, TypedAnswer};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs;
use std::future::Future;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::process::{Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;

mod clients;
mod limits;
mod notices;
mod pins;
mod real;

/// A folder with programs, and a clock that stands still.
struct Desk {
    folder: TempDir,
    clock: Arc<FakeClock>,
}

impl Desk {
    fn new() -> Self {
        let clock = FakeClock::at(WallTime(1_800_000_000_000));
        clock.hold();
        Self { folder: tempfile::tempdir().unwrap(), clock }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    /// A shell script. Another process writes it: a test beside this one that forks meanwhile would keep it open for
    /// writing, and then it cannot be run.
    fn script(&self, name: &str, body: &str) -> PathBuf {
        let path = self.file(name);
        let mut writer = Command::new("sh");
        writer.args(["-c", "cat >\"$0\" && chmod 700 \"$0\""]).arg(&path).stdin(Stdio::piped());
        let mut writer = writer.spawn().unwrap();
        writer.stdin.take().unwrap().write_all(format!("#!/bin/sh\n{body}\n").as_bytes()).unwrap();
        assert!(writer.wait().unwrap().success());
        path
    }

    /// A pinentry that writes down what it hears, and says this to CONFIRM.
    fn pinentry(&self, answer: &str) -> Programs {
        let body = format!(
            "echo 'OK hello'\nwhile read -r line; do\n  echo \"$line\" >> \"$HOME/heard\"\n  \
             case $line in CONFIRM) {answer} ;; OPTION*) echo 'ERR 174 unknown option' ;; *) echo '# words'; echo OK ;; esac\ndone"
        );
        Programs { pinentry: Some(self.script("pinentry", &body)), ..self.programs() }
    }

    fn askpass(&self, body: &str) -> Programs {
        Programs { askpass: Some(self.script("askpass", body)), ..self.programs() }
    }

    /// None, with a display.
    fn programs(&self) -> Programs {
        let home = self.folder.path().to_str().unwrap();
        let environment = [("HOME", home), ("PATH", "/usr/bin:/bin"), ("DISPLAY", ":7"), ("LANG", "C.UTF-8")];
        let environment = environment.map(|(name, value)| (name.into(), value.into())).to_vec();
        Programs { pinentry: None, askpass: None, environment }
    }

    fn prompts(&self, programs: Programs) -> Arc<Prompts> {
        Prompts::new(self.clock.clone(), programs)
    }

    async fn ask(&self, programs: Programs) -> Verdict {
        self.prompts(programs).confirm(&question(), nobody()).await
    }

    /// What a program writes to the FIFO, once it does.
    fn fifo(&self) -> impl Future<Output = String> + use<> {
        let path = self.file("fifo");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let read = tokio::task::spawn_blocking(move || fs::read_to_string(path).unwrap());
        async { read.await.unwrap() }
    }
}

fn question() -> Question {
    Question { title: "Use the key ada@host?".to_owned(), lines: vec!["100 % of it".to_owned(), "for git".to_owned()] }
}

/// Nobody who waits.
fn nobody() -> &'static Audience {
    Box::leak(Box::default())
}

fn yes(yes: bool) -> Option<TypedAnswer> {
    typed(if yes { "y" } else { "n" })
}

fn typed(text: &str) -> Option<TypedAnswer> {
    Some(TypedAnswer::from_text(text.to_owned()))
}

/// Goes on with the question until this has happened.
async fn meanwhile<V, T>(question: &mut (impl Future<Output = V> + Unpin), until: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        done = until => done,
        _ = question => panic!("answered too early"),
    }
}

fn process(pid: &str) -> OwnedFd {
    pidfd_open(Pid::from_raw(pid.parse().unwrap()).unwrap(), PidfdFlags::empty()).unwrap()
}

fn lives(process: &OwnedFd) -> bool {
    poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&Timespec::default())).unwrap() == 0
}

fn allowed(verdict: &Verdict) -> Option<bool> {
    match verdict {
        Verdict::Allowed => Some(true),
        Verdict::Refused => Some(false),
        Verdict::Unasked(_) => None,
    }
}

#[tokio::test]
async fn pinentry_is_told_what_is_asked_and_its_word_counts() {
    for (answer, wanted) in [
        ("echo OK", Some(true)),
        ("echo 'S BUTTON_INFO close'; echo 'ERR 83886179 Operation cancelled <Pinentry>'", Some(false)),
        ("echo 'ERR 83886194 Not confirmed <Pinentry>'", Some(false)),
        ("echo 'ERR 83886278 fully cancelled'", Some(false)),
        ("echo 'ERR 83886142 Timeout <Pinentry>'", None),
    ] {
        let desk = Desk::new();
        let verdict = desk.ask(desk.pinentry(answer)).await;
        assert_eq!(allowed(&verdict), wanted, "{answer}: {verdict:?}");
        if wanted.is_none() {
            assert!(matches!(verdict, Verdict::Unasked(Unasked::Failed(62))), "{verdict:?}");
        }
        assert_eq!(
            desk.read("heard"),
            "GETINFO flavor\nOPTION display=:7\nOPTION lc-ctype=C.UTF-8\nOPTION lc-messages=C.UTF-8\nSETTITLE claviger\nSETOK Allow\nSETCANCEL Refuse\n\
             SETDESC Use the key ada@host?%0A%0A100 %25 of it%0Afor git\nCONFIRM\n"
        );
    }
}

#[tokio::test]
async fn a_pinentry_that_does_not_take_the_text_asks_nothing() {
    let desk = Desk::new();
    let body = "echo OK\nwhile read -r line; do\n  echo \"$line\" >> \"$HOME/heard\"\n  \
                case $line in SETDESC*) echo 'ERR 83886359 line too long' ;; *) echo OK ;; esac\ndone";
    let programs = Programs { pinentry: Some(desk.script("pinentry", body)), ..desk.programs() };
    let verdict = desk.ask(programs).await;
    assert!(matches!(verdict, Verdict::Unasked(Unasked::Failed(279))), "{verdict:?}");
    assert!(!desk.read("heard").contains("CONFIRM"), "{}", desk.read("heard"));
}

#[tokio::test]
async fn askpass_is_run_and_read_as_openssh_does() {
    for (body, wanted) in [
        ("exit 0", true),
        ("echo", true),
        ("echo yes", true),
        ("printf 'YES\\r\\nmore'", true),
        ("echo no", false),
        ("echo y", false),
        ("echo yes; exit 1", false),
        ("exit 255", false),
        ("kill -9 $$", false),
    ] {
        let desk = Desk::new();
        let body = format!("printf '%s|' \"$#\" \"$1\" > \"$HOME/heard\"\nenv | sort >> \"$HOME/heard\"\n{body}");
        let verdict = desk.ask(desk.askpass(&body)).await;
        assert_eq!(allowed(&verdict), Some(wanted), "{body}: {verdict:?}");
        let home = desk.folder.path().display();
        // The shell has its own PWD.
        let heard: Vec<String> =
            desk.read("heard").lines().filter(|line| !line.starts_with("PWD=")).map(str::to_owned).collect();
        let wanted = [
            "1|Use the key ada@host?".to_owned(),
            "100 % of it".to_owned(),
            "for git|DISPLAY=:7".to_owned(),
            format!("HOME={home}"),
            "LANG=C.UTF-8".to_owned(),
            "PATH=/usr/bin:/bin".to_owned(),
            "SSH_ASKPASS_PROMPT=confirm".to_owned(),
        ];
        assert_eq!(heard, wanted);
    }
}

#[tokio::test]
async fn a_program_that_makes_no_sense_is_no_answer() {
    for body in [
        "exit 0",
        "kill -9 $$",
        "echo OK; exit 0",
        "echo HELLO",
        "echo 'ERR nothing'",
        "printf 'OK'",
        "printf '\\0\\377\\n'",
        "echo 'D 1'; echo OK",
        "echo 'INQUIRE x'",
        // A line without an end, and lines without one.
        "exec tr '\\0' x < /dev/zero",
        "while :; do echo '# x'; done",
        "while :; do echo 'S x'; done",
        "echo OK; exec cat",
        "echo OK; read -r line; exec cat /dev/zero",
    ] {
        let desk = Desk::new();
        let programs = Programs { pinentry: Some(desk.script("pinentry", body)), ..desk.programs() };
        let verdict = desk.ask(programs).await;
        assert!(matches!(verdict, Verdict::Unasked(Unasked::BadAnswer("pinentry"))), "{body}: {verdict:?}");
    }
    let desk = Desk::new();
    let verdict = desk.ask(desk.askpass("exec cat /dev/zero")).await;
    assert!(matches!(verdict, Verdict::Unasked(Unasked::BadAnswer("the askpass program"))), "{verdict:?}");
}

#[tokio::test]
async fn a_program_that_cannot_be_run_is_told_and_the_other_one_asked() {
    let desk = Desk::new();
    let plain = desk.file("plain");
    fs::write(&plain, "x").unwrap();
    for path in [desk.file("absent"), plain, "true".into(), "./true".into(), desk.folder.path().into()] {
        let programs = Programs { pinentry: Some(path.clone()), ..desk.programs() };
        let verdict = desk.ask(programs.clone()).await;
        let told = matches!(verdict, Verdict::Unasked(Unasked::NotStarted { program: "pinentry", .. }));
        assert!(told, "{}: {verdict:?}", path.display());
        let both = Programs { askpass: desk.askpass("exit 0").askpass, ..programs };
        assert!(matches!(desk.ask(both).await, Verdict::Allowed));
    }
    let relative = Programs { askpass: Some("true".into()), ..desk.programs() };
    assert!(matches!(desk.ask(relative).await, Verdict::Unasked(Unasked::NotStarted { .. })));
}

#[tokio::test]
async fn without_a_display_no_program_is_run() {
    let desk = Desk::new();
    let mut programs = Programs { askpass: desk.askpass("touch \"$HOME/ran\"").askpass, ..desk.pinentry("echo OK") };
    programs.environment.retain(|(name, _)| name != "DISPLAY");
    for empty in [false, true] {
        if empty {
            programs.environment.push(("WAYLAND_DISPLAY".into(), "".into()));
        }
        assert!(matches!(desk.ask(programs.clone()).await, Verdict::Unasked(Unasked::NoDisplay)));
        assert!(!desk.file("ran").exists() && !desk.file("heard").exists());
    }
    // OpenSSH's own word for it.
    programs.environment.push(("SSH_ASKPASS_REQUIRE".into(), "force".into()));
    assert!(matches!(desk.ask(programs.clone()).await, Verdict::Allowed));
    assert!(desk.file("ran").exists() && !desk.file("heard").exists());
    assert!(matches!(desk.ask(desk.programs()).await, Verdict::Unasked(Unasked::Nobody)));
}

#[tokio::test]
async fn what_a_program_gets_is_a_short_list() {
    let prompt = SettingsOfPrompt { pinentry: Some("/p".into()), askpass: Some("/a".into()) };
    let programs = Programs::of(&prompt, |name| (name != "WAYLAND_DISPLAY").then(|| format!("of {name}").into()));
    assert_eq!(
        (programs.pinentry.as_deref(), programs.askpass.as_deref()),
        (Some(Path::new("/p")), Some(Path::new("/a")))
    );
    assert_eq!(programs.variable("XAUTHORITY"), Some("of XAUTHORITY".as_ref()));
    for absent in ["WAYLAND_DISPLAY", "AWS_PROFILE", "SSH_AUTH_SOCK", "LD_PRELOAD", "CLAVIGER_HOME"] {
        assert_eq!(programs.variable(absent), None);
    }
}

#[test]
fn where_the_settings_name_none_the_systems_own_are_run() {
    let found = |pinentry: Option<&str>, askpass: Option<&str>, there: &[&str]| {
        let prompt = SettingsOfPrompt { pinentry: pinentry.map(Into::into), askpass: askpass.map(Into::into) };
        let there = |path: &Path| there.iter().any(|known| path == Path::new(known));
        let programs = Programs::found(&prompt, |_| None, there);
        (programs.pinentry.map(PathBuf::into_os_string), programs.askpass.map(PathBuf::into_os_string))
    };
    let (gpgs, sshs) = ("/usr/bin/pinentry", "/usr/bin/ssh-askpass");
    let some = |path: &str| Some(path.into());
    assert_eq!(found(None, None, &[gpgs, sshs]), (some(gpgs), some(sshs)));
    assert_eq!(found(None, None, &["/usr/local/bin/pinentry"]), (some("/usr/local/bin/pinentry"), None));
    assert_eq!(found(None, None, &["/usr/libexec/openssh/ssh-askpass"]).1, some("/usr/libexec/openssh/ssh-askpass"));
    assert_eq!(found(None, None, &[]), (None, None));
    // Whoever names one gets that one alone, and may have none at all.
    assert_eq!(found(Some("/p"), None, &[gpgs, sshs]), (some("/p"), None));
    assert_eq!(found(None, Some("/a"), &[gpgs, sshs]), (None, some("/a")));
    assert_eq!(found(Some("none"), None, &[gpgs, sshs]), (None, some(sshs)));
    assert_eq!(found(None, Some("none"), &[gpgs, sshs]), (some(gpgs), None));
    assert_eq!(found(Some("none"), Some("none"), &[gpgs, sshs]), (None, None));
    assert_eq!(found(Some("none"), Some("/a"), &[gpgs, sshs]), (None, some("/a")));
}

#[test]
fn the_systems_own_program_is_nobody_elses() {
    use super::programs::is_the_systems;
    // Debian's is a link of the alternatives.
    assert!(is_the_systems(Path::new("/usr/bin/pinentry-tty")) && is_the_systems(Path::new("/usr/bin/pinentry")));
    let desk = Desk::new();
    let link = desk.file("link");
    std::os::unix::fs::symlink("/usr/bin/pinentry-tty", &link).unwrap();
    assert!(is_the_systems(&link), "the control: where it leads counts");
    for other in [desk.script("own", "exit 0"), desk.file("absent"), "/usr/bin".into(), "/etc/passwd".into()] {
        // In a folder that everybody may write to, no file, and nothing that can be run.
        assert!(!is_the_systems(&other), "{}", other.display());
    }
}

#[tokio::test]
async fn a_program_that_hangs_is_ended_with_its_question() {
    for by_pinentry in [true, false] {
        let desk = Desk::new();
        let fifo = desk.fifo();
        let hangs = "echo $$ > \"$HOME/fifo\"; exec cat \"$HOME/fifo\"";
        let programs = if by_pinentry { desk.pinentry(hangs) } else { desk.askpass(hangs) };
        let prompts = desk.prompts(programs);
        let question = question();
        let mut asked = pin!(prompts.confirm(&question, nobody()));
        let program = process(meanwhile(&mut asked, fifo).await.trim());
        desk.clock.advance_millis(119_999);
        meanwhile(&mut asked, tokio::task::yield_now()).await;
        assert!(lives(&program), "it still asks");
        desk.clock.advance_millis(1);
        assert!(matches!(asked.await, Verdict::Unasked(Unasked::TimedOut)));
        ended(program).await;
    }
}

#[tokio::test]
async fn whoever_drops_a_question_ends_its_program_and_all_it_started() {
    for by_pinentry in [true, false] {
        let desk = Desk::new();
        let fifo = desk.fifo();
        // The third leaves the group: what would be left if the program alone were ended.
        let body = "sleep 1000 & a=$!; setsid sleep 1000 & b=$!\n\
                    while test \"$(ps -o sid= -p $b | tr -d ' ')\" != $b; do :; done\n\
                    echo $$ $a $b > \"$HOME/fifo\"; wait";
        let programs = if by_pinentry { desk.pinentry(body) } else { desk.askpass(body) };
        let prompts = desk.prompts(programs);
        let question = question();
        let mut asked = Box::pin(prompts.confirm(&question, nobody()));
        let told = meanwhile(&mut asked, fifo).await;
        let processes: Vec<OwnedFd> = told.split_whitespace().map(process).collect();
        let [program, child, stranger] = <[OwnedFd; 3]>::try_from(processes).unwrap();
        assert!(lives(&program) && lives(&child) && lives(&stranger));
        drop(asked);
        ended(program).await;
        ended(child).await;
        assert!(lives(&stranger), "the control: nothing else ends them");
        pidfd_send_signal(&stranger, Signal::KILL).unwrap();
    }
}

#[tokio::test]
async fn what_a_program_leaves_behind_ends_with_its_answer() {
    let desk = Desk::new();
    let body = "sleep 1000 > /dev/null & echo $! > \"$HOME/left\"";
    assert!(matches!(desk.ask(desk.askpass(body)).await, Verdict::Allowed));
    let pid = desk.read("left").trim().parse().ok().and_then(Pid::from_raw).unwrap();
    // It may be gone altogether by now.
    if let Ok(left) = pidfd_open(pid, PidfdFlags::empty()) {
        ended(left).await;
    }
}

#[tokio::test]
async fn a_client_that_attends_answers_and_the_program_is_ended() {
    for answer in [true, false] {
        let desk = Desk::new();
        let fifo = desk.fifo();
        let prompts = desk.prompts(desk.pinentry("echo $$ > \"$HOME/fifo\"; exec cat \"$HOME/fifo\""));
        let (mut first, mut second) = (prompts.attend(), prompts.attend());
        assert_eq!((first.changed().await, second.changed().await), (None, None));
        let question = question();
        let mut asked = Box::pin(prompts.confirm(&question, nobody()));
        let program = process(meanwhile(&mut asked, fifo).await.trim());
        let shown = first.changed().await.unwrap();
        assert_eq!(*shown.asking, Asking::Confirm(question.clone()));
        // One who comes late sees it too.
        let mut late = prompts.attend();
        for other in [&mut second, &mut late] {
            assert_eq!(other.changed().await.as_ref(), Some(&shown));
        }
        assert!(!first.answer(shown.number + 1, yes(!answer)), "another question");
        assert!(first.answer(shown.number, yes(answer)));
        assert!(!second.answer(shown.number, yes(!answer)), "the first answer counts");
        assert_eq!(allowed(&asked.await), Some(answer));
        ended(program).await;
        for end in [&mut first, &mut second, &mut late] {
            assert_eq!(end.changed().await, None, "it is over");
        }
    }
}

#[tokio::test]
async fn a_late_answer_answers_nothing_else() {
    let desk = Desk::new();
    let prompts = desk.prompts(desk.programs());
    let attending = prompts.attend();
    let question = question();
    let dropped = {
        let mut asked = Box::pin(prompts.confirm(&question, nobody()));
        assert!(poll_once(&mut asked).is_none());
        attending.shown_number()
    };
    let mut asked = Box::pin(prompts.confirm(&question, nobody()));
    assert!(poll_once(&mut asked).is_none());
    assert!(!attending.answer(dropped, yes(true)), "that one is over");
    assert!(poll_once(&mut asked).is_none());
    assert!(attending.answer(attending.shown_number(), yes(false)));
    assert!(matches!(asked.await, Verdict::Refused));
}

#[tokio::test]
async fn nobody_is_left_to_ask_once_all_declined_or_went() {
    let desk = Desk::new();
    let question = question();
    let prompts = desk.prompts(desk.programs());
    let (first, second) = (prompts.attend(), prompts.attend());
    let mut asked = Box::pin(prompts.confirm(&question, nobody()));
    assert!(poll_once(&mut asked).is_none());
    assert!(first.answer(first.shown_number(), None));
    assert!(poll_once(&mut asked).is_none());
    // Who declined may still change their mind; then one goes.
    drop(second);
    assert!(matches!(poll_once(&mut asked), Some(Verdict::Unasked(Unasked::Nobody))));
    drop(asked);
    // The next question is asked of who declined the last.
    let mut asked = Box::pin(prompts.confirm(&question, nobody()));
    assert!(poll_once(&mut asked).is_none());
    assert!(first.answer(first.shown_number(), yes(true)));
    assert!(matches!(asked.await, Verdict::Allowed));
    // A program that fails leaves the question to the client; its failure is what is told once that goes.
    let programs = Programs { pinentry: Some(desk.file("absent")), ..desk.programs() };
    prompts.set_programs(programs);
    let mut asked = Box::pin(prompts.confirm(&question, nobody()));
    assert!(poll_once(&mut asked).is_none());
    drop(first);
    assert!(matches!(asked.await, Verdict::Unasked(Unasked::NotStarted { .. })));
}

#[tokio::test]
async fn questions_are_asked_one_by_one_and_not_many_wait() {
    let desk = Desk::new();
    let prompts = desk.prompts(desk.programs());
    let attending = prompts.attend();
    let questions: Vec<Question> =
        (0..18).map(|number| Question { title: format!("question {number}"), lines: Vec::new() }).collect();
    let mut asked: Vec<Pin<Box<_>>> =
        questions.iter().map(|question| Box::pin(prompts.confirm(question, nobody()))).collect();
    let polled: Vec<_> = asked.iter_mut().map(poll_once).collect();
    let busy = |verdict: &Option<Verdict>| matches!(verdict, Some(Verdict::Unasked(Unasked::Busy)));
    assert!(polled.iter().take(17).all(Option::is_none) && busy(&polled[17]));
    // The second gives up, and another has its place.
    drop(asked.remove(1));
    drop(asked.pop());
    let mut last = Box::pin(prompts.confirm(&questions[17], nobody()));
    assert!(poll_once(&mut last).is_none());
    asked.push(last);
    let order = [&[0][..], &(2..18).collect::<Vec<_>>()].concat();
    for (number, mut asked) in order.into_iter().zip(asked) {
        assert!(poll_once(&mut asked).is_none());
        let shown = attending.shown().unwrap();
        let Asking::Confirm(question) = &*shown.asking else { panic!("no question") };
        assert_eq!(question.title, format!("question {number}"));
        assert!(attending.answer(shown.number, yes(true)));
        assert!(matches!(asked.await, Verdict::Allowed));
    }
    assert_eq!(attending.shown(), None);
}

#[tokio::test]
async fn the_wait_for_others_counts() {
    let desk = Desk::new();
    let prompts = desk.prompts(desk.programs());
    let _attending = prompts.attend();
    let question = question();
    let mut first = Box::pin(prompts.confirm(&question, nobody()));
    assert!(poll_once(&mut first).is_none());
    desk.clock.advance_millis(60_000);
    let mut second = Box::pin(prompts.confirm(&question, nobody()));
    assert!(poll_once(&mut second).is_none());
    desk.clock.advance_millis(60_000);
    assert!(matches!(first.await, Verdict::Unasked(Unasked::TimedOut)));
    assert!(poll_once(&mut second).is_none());
    desk.clock.advance_millis(60_000);
    assert!(matches!(second.await, Verdict::Unasked(Unasked::TimedOut)));
}

/// What comes of a question as it stands.
fn poll_once<V>(asked: &mut Pin<Box<impl Future<Output = V>>>) -> Option<V> {
    // Twice: the clock's sleepers begin at the second look.
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for _ in 0..2 {
        if let std::task::Poll::Ready(verdict) = asked.as_mut().poll(&mut context) {
            return Some(verdict);
        }
    }
    None
}

impl super::Attending {
    /// What is asked now.
    fn shown(&self) -> Option<Asked> {
        self.prompts().shown.borrow().clone()
    }

    fn shown_number(&self) -> u64 {
        self.shown().unwrap().number
    }
}

/// All that is on a terminal until this is.
fn read_until(screen: &mut fs::File, text: &str) -> String {
    let (mut seen, mut chunk) = (Vec::new(), [0; 1024]);
    while !String::from_utf8_lossy(&seen).contains(text) {
        let long = Timespec { tv_sec: 60, tv_nsec: 0 };
        let came = poll(&mut [PollFd::new(&*screen, PollFlags::IN)], Some(&long)).unwrap();
        assert!(came > 0, "{text:?} never came: {}", String::from_utf8_lossy(&seen));
        let count = screen.read(&mut chunk).unwrap();
        seen.extend_from_slice(&chunk[..count]);
    }
    String::from_utf8_lossy(&seen).into_owned()
}
