//! The task runner. Std only, so that `cargo xtask` is there a second after a clone.
//!
//! Each task runs other programs with their command line shown and stops at the first that fails, with the line to
//! repeat it.

mod bench;
mod demo;
mod dist;
mod elf;
mod lint;
mod pcsc;
mod python;
mod regress;
mod run;
mod soak;
mod stage;
mod supply;
mod test;
mod tools;

use run::{Failure, Outcome, say};
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask TASK

  demo    the main job on the built-in sandbox: no account, no hardware, nothing installed
  test    everything CI runs, fastest first
  lint    formatting, clippy and the house test
  soak    the full figures of docs/reference/reliability.md; hours
  bench   what claviger costs, against /bin/true, an echo server and other tools, in one run
  dist    stripped release binaries in target/dist

Option of demo:
  --shell       ends in a shell where the story stands: its vault, its AWS

Options of test, soak and bench:
  --only WORD   the steps whose name contains WORD
  --percent N   of the rounds of soak, so many in the hundred; behind --only

Environment: CARGO_TARGET_DIR (where to build), CI=true (a missing tool is an error).
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match task(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&format!("\nxtask: {failure}"));
            ExitCode::FAILURE
        }
    }
}

fn task(words: &[&str]) -> Outcome {
    match words {
        [] | ["help" | "--help" | "-h"] | [_, "--help" | "-h"] => {
            say(HELP);
            Ok(())
        }
        ["demo"] => demo::run(false),
        ["demo", "--shell"] => demo::run(true),
        ["test"] => test::run(None),
        ["test", "--only", word] => test::run(Some(word)),
        ["lint"] => lint::run(),
        ["soak"] => soak::run(None, "100"),
        ["soak", "--only", word] => soak::run(Some(word), "100"),
        ["soak", "--only", word, "--percent", percent] => soak::run(Some(word), percent),
        ["bench"] => bench::run(None),
        ["bench", "--only", word] => bench::run(Some(word)),
        ["dist"] => dist::run().map(drop),
        _ => Err(Failure::new(format!("no such task: {} (try: cargo xtask --help)", words.join(" ")))),
    }
}
