//! `demo`: the main job on the sandbox. Needs cargo and a C compiler, nothing else.

mod login;

use crate::run::{Failure, Job, Outcome, copy_program, make_folder, say, target};
use crate::stage::{Act, PASSPHRASE, Stage};
use std::path::{Path, PathBuf};

const AFTERWARDS: &str = r#"
That was the sandbox. With a real account:

  claviger init                                 a vault, with a passphrase and a recovery code
  claviger access-key add dev                   the access key of your IAM user
  claviger mfa enroll dev                       a virtual MFA device for its user; mfa add, for one that you have
  claviger login prod                           one code; prod is a profile of ~/.aws/config
  claviger profile adopt prod                   every tool has it: aws s3 ls --profile prod
  eval "$(claviger ssh-agent env)"              ssh, git and others use its keys

docs/guide/start.md has the details."#;

/// Builds and plays; then, where wanted, lets the one who watches go on in a shell.
pub(crate) fn run(go_on: bool) -> Outcome {
    let binaries = build()?;
    let stage = play(&binaries)?;
    if go_on {
        shell(&stage)?;
    }
    drop(stage);
    say(AFTERWARDS);
    Ok(())
}

/// The programs as shipped, in the dev profile, in a folder where no other build replaces them.
pub(crate) fn build() -> Outcome<PathBuf> {
    let folder = target().join("plain");
    make_folder(&folder)?;
    for package in ["claviger", "claviger-agent", "claviger-sandbox"] {
        Job::cargo(&format!("build --quiet --locked -p {package}")).run()?;
        copy_program(&target().join("debug").join(package), &folder)?;
    }
    copy_program(&target().join("debug/claviger-ssh-agent"), &folder)?;
    Ok(folder)
}

/// Plays the story with these programs.
pub(crate) fn play(binaries: &Path) -> Outcome<Stage> {
    let stage = Stage::set("demo", binaries)?;
    say(&format!(
        "\nAn AWS of its own answers on {}; all else is in {}.\n",
        stage.cast().url,
        stage.folder().display()
    ));
    let acts = |words: &[&str]| words.iter().map(|words| Act::new(words, "", "")).collect::<Vec<_>>();
    show(&stage, stage.acts())?;
    show(&stage, acts(&["status", "process prod", "whoami prod"]))?;
    login::play(&stage)?;
    show(&stage, acts(&["lock", "status", "audit verify", "audit log"]))?;
    Ok(stage)
}

/// Ends with the shell, whatever its last command said.
fn shell(stage: &Stage) -> Outcome {
    let program = std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".to_owned());
    say(&format!(
        "\nA shell in the sandbox, with the profiles dev and prod; exit ends both. The passphrase is: {PASSPHRASE}"
    ));
    let mut command = stage.command(&program);
    if let Some(term) = std::env::var_os("TERM") {
        command.env("TERM", term);
    }
    command.status().map(drop).map_err(Failure::from("the shell"))
}

/// Plays acts, with what they say.
fn show(stage: &Stage, acts: Vec<Act>) -> Outcome {
    for act in acts {
        say(&format!("$ {}", act.line()));
        let output = act.play(stage)?;
        for text in [&output.stderr, &output.stdout] {
            String::from_utf8_lossy(text).lines().for_each(|line| say(&format!("  {}", cut_secrets(line))));
        }
    }
    Ok(())
}

/// The line with the values of credential fields cut short. Even of the sandbox no secret belongs on a screen.
fn cut_secrets(line: &str) -> String {
    ["SecretAccessKey", "SessionToken"].iter().fold(line.to_owned(), |line, key| {
        let Some((before, value)) = line.split_once(&format!("\"{key}\"")) else { return line };
        let mut parts = value.splitn(3, '"');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(colon), Some(secret), Some(rest)) => {
                let start: String = secret.chars().take(4).collect();
                format!("{before}\"{key}\"{colon}\"{start}…\"{rest}")
            }
            _ => line,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::cut_secrets;

    #[test]
    fn credentials_are_cut_and_the_rest_stays() {
        let line =
            r#"{"Version":1,"AccessKeyId":"ASIAX","SecretAccessKey":"abcdefgh","SessionToken": "tokentoken","Z":1}"#;
        let cut = cut_secrets(line);
        assert_eq!(
            cut,
            r#"{"Version":1,"AccessKeyId":"ASIAX","SecretAccessKey":"abcd…","SessionToken": "toke…","Z":1}"#
        );
        assert_eq!(cut_secrets("plain"), "plain");
    }
}
