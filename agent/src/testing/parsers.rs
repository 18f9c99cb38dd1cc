//! A parser under a long run of damaged inputs. What it must not do: panic, never come back, take memory that the
//! input does not pay for, repeat the input in its error. What else must hold the parser's own test asserts, as a panic.

use super::counting::peak_of;
use super::mutation::{CANARY, extremes, input};
use super::{figure, rounds};
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// Inputs in `cargo xtask test`, and in `cargo xtask soak`.
const INPUTS: (usize, usize) = (10_000, 1_000_000);
/// The stack that a parser gets: what a thread of the daemon has.
const STACK: usize = 2 * 1024 * 1024;
/// The longest input that a report shows.
const SHOWN: usize = 2000;

/// What a parser made of an input.
pub enum Verdict {
    /// It was taken.
    Accepted,
    /// It was refused.
    Refused {
        /// Which refusal: the error's variant.
        kind: String,
        /// Every text that the error has, `Display` and `Debug`.
        said: String,
    },
}

impl Verdict {
    /// A refusal by an error, its kind the first word of its `Debug` form.
    pub fn refused(error: &(impl fmt::Debug + fmt::Display)) -> Self {
        let debug = format!("{error:?}");
        let kind = debug.split([' ', '(', '{']).next().unwrap_or_default().to_owned();
        Self::Refused { kind, said: format!("{error}\n{debug}") }
    }

    /// A refusal without words.
    pub fn none(kind: &str) -> Self {
        Self::Refused { kind: kind.to_owned(), said: String::new() }
    }
}

/// A parser and what it is tried with.
pub struct Parser<'a> {
    /// Its name, and that of its folder in `tests/corpora`.
    pub name: &'static str,
    /// Entries besides those of the folder.
    pub more: Vec<Vec<u8>>,
    /// Words of its language.
    pub tokens: &'a [&'a [u8]],
    /// Of a thousand damaged inputs at least so many are taken: else they end at the first byte and show nothing.
    pub taken: u64,
    /// Refusals that must have been met.
    pub refusals: &'a [&'a str],
    /// The parser.
    pub parse: &'a (dyn Fn(&[u8]) -> Verdict + Sync),
}

/// How far a parser may go.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes held at once beyond [`Limits::factor`] times the input.
    pub memory: usize,
    /// See [`Limits::memory`].
    pub factor: usize,
    /// After so long the program is ended: a thread cannot be.
    pub hang: Duration,
}

impl Default for Limits {
    /// A wire line of 256 KiB stays at 64 MiB or so: a tree of TOML takes 172 bytes for a dot. A minute is long on the busiest machine.
    fn default() -> Self {
        Self { memory: 4 * 1024 * 1024, factor: 256, hang: Duration::from_secs(60) }
    }
}

/// What a run found out.
#[derive(Debug, Default, Clone)]
pub struct Report {
    /// Inputs in all.
    pub inputs: u64,
    /// Damaged inputs that were taken.
    pub taken: u64,
    /// Damaged inputs in all.
    pub damaged: u64,
    /// Refusals by kind.
    pub refused: BTreeMap<String, u64>,
    /// Processor time of all.
    pub time: Duration,
    /// The most processor time of one input.
    pub longest: Duration,
    /// The most bytes held for one input.
    pub peak: usize,
}

/// What a parser did wrong, and with what.
#[derive(Debug)]
pub struct Found {
    /// What it did.
    pub wrong: Wrong,
    /// How many inputs came before it.
    pub number: u64,
    /// The input; as it stands it is an entry for the corpus.
    pub input: Vec<u8>,
}

/// What a parser may not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// Repeats the input in its error.
    Echo,
    /// Holds so many bytes.
    Memory(usize),
    /// Panics.
    Panic,
}

impl fmt::Display for Found {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.input.get(..SHOWN).unwrap_or(&self.input);
        write!(out, "{:?} at input {}, {} bytes: {}", self.wrong, self.number, self.input.len(), shown.escape_ascii())
    }
}

impl Parser<'_> {
    /// Runs it, tells its figures, and panics where it does not stand.
    pub fn withstands_damage(&self) {
        self.withstands_damage_of(INPUTS.0);
    }

    /// The same with fewer inputs in the usual run: for what takes a millisecond each in a debug build.
    #[expect(clippy::panic, reason = "tests alone have this, and a test fails by panicking")]
    pub fn withstands_damage_of(&self, usual: usize) {
        let report = match self.run(rounds(usual, INPUTS.1), Limits::default()) {
            Ok(report) => report,
            Err(found) => {
                let kept = std::env::temp_dir().join(format!("claviger-corpus-{}-{}", self.name, found.number));
                drop(std::fs::write(&kept, &found.input));
                panic!("{}: {found}\nwhole, for the corpus: {}", self.name, kept.display())
            }
        };
        let share = report.taken.saturating_mul(1000) / report.damaged.max(1);
        let missed: Vec<_> = self.refusals.iter().filter(|kind| !report.refused.contains_key(**kind)).collect();
        figure(&format!("parser {}", self.name), &report);
        if share < self.taken || !missed.is_empty() {
            panic!("{}: {share} of 1000 damaged inputs taken, refusals never met: {missed:?}; {report:?}", self.name);
        }
    }

    /// So many inputs, up to the first that it does not stand.
    pub fn run(&self, inputs: usize, limits: Limits) -> Result<Report, Found> {
        let mut corpus = committed(self.name);
        corpus.extend(self.more.iter().cloned());
        let watch = &Watch::default();
        let (done, ended) = channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || watch.over(self.name, limits.hang, &ended));
            let work = || {
                // Both ways out end the watch.
                let _done = done;
                self.try_each(inputs, &corpus, limits, watch)
            };
            let thread = std::thread::Builder::new().name(self.name.to_owned()).stack_size(STACK);
            match thread.spawn_scoped(scope, work).map(std::thread::ScopedJoinHandle::join) {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) | Err(_) => Err(Found { wrong: Wrong::Panic, number: 0, input: Vec::new() }),
            }
        })
    }

    fn try_each(&self, inputs: usize, corpus: &[Vec<u8>], limits: Limits, watch: &Watch) -> Result<Report, Found> {
        let mut report = Report::default();
        // Lazily made tables are nobody's input.
        for entry in corpus.iter().take(3) {
            drop(catch_unwind(AssertUnwindSafe(|| (self.parse)(entry))));
        }
        let extremes = extremes().map(|input| (input, false));
        let damaged = (0..u64::MAX).map(|seed| input(seed, corpus, self.tokens));
        for (number, (input, whole)) in (0..).zip(extremes.chain(damaged).take(inputs)) {
            watch.begin(number);
            let begun = processor_time();
            let (outcome, peak) = peak_of(|| catch_unwind(AssertUnwindSafe(|| (self.parse)(&input))));
            let time = processor_time().saturating_sub(begun);
            report.time = report.time.saturating_add(time);
            report.longest = report.longest.max(time);
            report.peak = report.peak.max(peak);
            report.inputs += 1;
            report.damaged += u64::from(!whole);
            let allowed = limits.memory.saturating_add(limits.factor.saturating_mul(input.len()));
            let wrong = match outcome {
                Err(_) => Some(Wrong::Panic),
                Ok(_) if peak > allowed => Some(Wrong::Memory(peak)),
                Ok(Verdict::Refused { said, .. }) if repeats(&said, &input) => Some(Wrong::Echo),
                Ok(Verdict::Refused { kind, .. }) => {
                    *report.refused.entry(kind).or_default() += 1;
                    None
                }
                Ok(Verdict::Accepted) => {
                    report.taken += u64::from(!whole);
                    None
                }
            };
            if let Some(wrong) = wrong {
                return Err(Found { wrong, number, input });
            }
        }
        watch.rest();
        Ok(report)
    }
}

/// In any case: keys are put in lower case before they are named.
fn repeats(said: &str, input: &[u8]) -> bool {
    let planted = |text: &[u8]| text.windows(CANARY.len()).any(|part| part.eq_ignore_ascii_case(CANARY.as_bytes()));
    planted(said.as_bytes()) && planted(input)
}

/// Drives work that waits for nothing outside to its end, on a runtime of the thread's own.
#[expect(clippy::expect_used, reason = "tests alone have this")]
pub fn driven<T>(work: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(work))
}

/// The files of a folder of `tests/corpora`, by name. The run of a parser without one is a run without a corpus.
fn committed(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpora").join(name);
    let mut paths: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|it| it.path()).collect();
    paths.sort();
    paths.iter().filter_map(|path| std::fs::read(path).ok()).collect()
}

/// Of this thread: other work on the machine does not count.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// Sees that every input ends.
#[derive(Default)]
struct Watch {
    /// Inputs begun.
    begun: AtomicU64,
    number: AtomicU64,
}

impl Watch {
    fn begin(&self, number: u64) {
        self.number.store(number, Ordering::Release);
        self.begun.fetch_add(1, Ordering::Release);
    }

    /// The last one is over.
    fn rest(&self) {
        self.begun.store(0, Ordering::Release);
    }

    /// Ends the program where an input has not ended in time.
    fn over(&self, name: &str, hang: Duration, ended: &Receiver<()>) {
        let mut last = 0;
        // An input is looked at twice at least, so that its time is between one and two turns.
        while ended.recv_timeout(hang) == Err(RecvTimeoutError::Timeout) {
            let begun = self.begun.load(Ordering::Acquire);
            if begun == last && begun > 0 {
                let number = self.number.load(Ordering::Acquire);
                #[expect(clippy::print_stderr, reason = "the last words of a test")]
                {
                    eprintln!("{name}: does not come back from input {number}");
                }
                std::process::abort();
            }
            last = begun;
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = self.taken.saturating_mul(100) / self.damaged.max(1);
        write!(out, "{} inputs; of those damaged {share} % taken; ", self.inputs)?;
        for (kind, count) in &self.refused {
            write!(out, "{kind} {count}, ")?;
        }
        let (time, longest, peak) = (self.time.as_secs_f64(), self.longest.as_micros(), self.peak / 1024);
        write!(out, "{time:.1} s, longest {longest} µs, most memory {peak} KiB")
    }
}

#[cfg(test)]
mod tests {
    use super::{CANARY, Found, Limits, Parser, Verdict, Wrong};
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Output};
    use std::time::Duration;

    /// A list whose first byte says how long it is: `3 a b c`, brackets in brackets.
    const LISTS: [&[u8]; 2] = [b"2 [[a],[b]]", b"9 x"];

    fn run(parse: &(dyn Fn(&[u8]) -> Verdict + Sync), limits: Limits) -> Option<Found> {
        let more = LISTS.map(<[u8]>::to_vec).to_vec();
        let parser = Parser { name: "control", more, tokens: &[b"[", b"]", b"99"], taken: 0, refusals: &[], parse };
        parser.run(5000, limits).err()
    }

    fn length(input: &[u8]) -> u32 {
        let digits: Vec<u8> = input.iter().copied().take_while(u8::is_ascii_digit).collect();
        std::str::from_utf8(&digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }

    fn wrong(parse: &(dyn Fn(&[u8]) -> Verdict + Sync)) -> Option<Wrong> {
        run(parse, Limits::default()).map(|found| found.wrong)
    }

    #[test]
    fn a_parser_that_does_as_it_should_stands() {
        let sound = |input: &[u8]| match usize::try_from(length(input)).ok().and_then(|length| input.get(length)) {
            Some(_) => Verdict::Accepted,
            None => Verdict::refused(&std::io::Error::from(std::io::ErrorKind::UnexpectedEof)),
        };
        assert!(wrong(&sound).is_none());
    }

    #[test]
    fn one_that_indexes_by_a_length_word_is_caught() {
        let weak =
            |input: &[u8]| if input[length(input) as usize] == 0 { Verdict::none("") } else { Verdict::Accepted };
        assert_eq!(wrong(&weak), Some(Wrong::Panic));
    }

    #[test]
    fn one_that_repeats_its_input_is_caught() {
        let weak = |input: &[u8]| Verdict::Refused {
            kind: "bad".to_owned(),
            said: format!("unexpected {}", String::from_utf8_lossy(input).to_lowercase()),
        };
        let found = run(&weak, Limits::default()).unwrap();
        assert_eq!(found.wrong, Wrong::Echo);
        assert!(found.input.windows(CANARY.len()).any(|part| part == CANARY.as_bytes()));
    }

    #[test]
    fn one_that_takes_memory_by_a_length_word_is_caught() {
        // Not touched, so not in the process's memory as the kernel counts it: counted here all the same.
        let weak = |input: &[u8]| {
            drop(std::hint::black_box(Vec::<u8>::with_capacity(length(input) as usize)));
            Verdict::Accepted
        };
        assert!(matches!(wrong(&weak), Some(Wrong::Memory(bytes)) if bytes > 4 * 1024 * 1024));
    }

    #[test]
    fn one_that_grows_with_the_square_of_its_input_is_caught() {
        let weak = |input: &[u8]| {
            let parts: Vec<Vec<u8>> = (0..input.len().min(3000)).map(|from| input[from..].to_vec()).collect();
            drop(std::hint::black_box(parts));
            Verdict::Accepted
        };
        assert!(matches!(wrong(&weak), Some(Wrong::Memory(_))));
    }

    /// What cannot be caught in a thread ends the program, so these run in one of their own.
    fn apart(test: &str) -> Output {
        let mut program = Command::new(std::env::current_exe().unwrap());
        let name = format!("testing::parsers::tests::{test}");
        program.args([&name, "--exact", "--nocapture"]).env("CLAVIGER_CONTROL", test).output().unwrap()
    }

    fn is_apart(test: &str) -> bool {
        std::env::var_os("CLAVIGER_CONTROL").is_some_and(|name| name == test)
    }

    #[test]
    fn one_that_never_comes_back_is_caught() {
        const NAME: &str = "one_that_never_comes_back_is_caught";
        if is_apart(NAME) {
            let weak = |input: &[u8]| {
                while length(input) > 1000 {
                    std::hint::spin_loop();
                }
                Verdict::Accepted
            };
            run(&weak, Limits { hang: Duration::from_millis(500), ..Limits::default() });
            return;
        }
        let ended = apart(NAME);
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.signal(), Some(rustix::process::Signal::ABORT.as_raw()), "{said}");
        assert!(said.contains("control: does not come back from input "), "{said}");
    }

    #[test]
    fn one_that_recurses_without_limit_is_caught() {
        const NAME: &str = "one_that_recurses_without_limit_is_caught";
        fn depth(input: &[u8]) -> usize {
            match input.split_first() {
                Some((b'[', rest)) => 1 + std::hint::black_box(depth(std::hint::black_box(rest))),
                _ => 0,
            }
        }
        if is_apart(NAME) {
            let deepest = |input: &[u8]| {
                let begin = input.iter().position(|byte| *byte == b'[').unwrap_or(input.len());
                std::hint::black_box(depth(&input[begin..]));
                Verdict::Accepted
            };
            run(&deepest, Limits::default());
            return;
        }
        let ended = apart(NAME);
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.signal().is_some(), "{said}");
        assert!(said.contains("thread 'control'") && said.contains("overflowed its stack"), "{said}");
    }
}
