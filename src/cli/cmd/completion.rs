//! `claviger completion`: scripts that complete verbs, options and the names of profiles.

use crate::cli::args::Arguments;
use crate::cli::exit::Outcome;
use crate::cli::ui;
use clap::{CommandFactory, ValueEnum};
use clap_complete::{Generator, generate, shells};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Print a completion script for your shell
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  claviger completion bash > ~/.local/share/bash-completion/completions/claviger
  claviger completion zsh > \"${fpath[1]}/_claviger\"
  claviger completion fish > ~/.config/fish/completions/claviger.fish
  claviger completion powershell >> $PROFILE")]
pub(in crate::cli) struct Completion {
    /// The shell
    shell: Shell,
}

#[derive(Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
}

impl Completion {
    pub(super) fn run(self) -> Outcome {
        let script = match self.shell {
            Shell::Bash => bash(&script(shells::Bash)),
            Shell::Zsh => zsh(&script(shells::Zsh)),
            Shell::Fish => script(shells::Fish) + &fish(),
            Shell::Powershell => script(shells::PowerShell),
        };
        ui::data(script.as_bytes())
    }
}

fn script(generator: impl Generator) -> String {
    let mut script = Vec::new();
    generate(generator, &mut Arguments::command(), "claviger", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Runs after the generated function: names of profiles, and behind `--` a command.
const BASH: &str = r#"
_claviger_and_names() {
    _claviger "$@"
    local cur="${COMP_WORDS[COMP_CWORD]}" name i
    for ((i = 2; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} == -- ]] || continue
        if declare -F _command_offset >/dev/null; then
            _command_offset $((i + 1))
        elif ((i + 1 == COMP_CWORD)); then
            mapfile -t COMPREPLY < <(compgen -c -- "$cur" | sort -u)
        else
            COMPREPLY=()
        fi
        return
    done
    [[ $cur == -* || ${COMP_WORDS[COMP_CWORD - 1]} == @(OPTIONS) ]] && return
    case " ${COMP_WORDS[1]} ${COMP_WORDS[2]} " in
    VERBS)
        while IFS= read -r name; do
            [[ $name == "$cur"* ]] && COMPREPLY+=("$(printf %q "$name")")
        done < <(claviger profile list --names 2>/dev/null)
        ;;
    esac
}

"#;

fn bash(script: &str) -> String {
    let verbs: Vec<String> = with_profile().iter().map(|verb| format!("\" {verb} \"*")).collect();
    let ours = BASH.replace("OPTIONS", &valued_options().join("|")).replace("VERBS", &verbs.join(" | "));
    match script.split_once("\nif [[ \"${BASH_VERSINFO") {
        Some((functions, complete)) => {
            let complete = complete.replace("complete -F _claviger ", "complete -F _claviger_and_names ");
            format!("{functions}{ours}if [[ \"${{BASH_VERSINFO{complete}")
        }
        None => script.to_owned(),
    }
}

const ZSH: &str = r#"
_claviger_names() {
    local -a names
    names=(${(f)"$(_call_program profiles claviger profile list --names 2>/dev/null)"})
    compadd -a names
}
"#;

fn zsh(script: &str) -> String {
    let mut out = String::with_capacity(script.len().saturating_add(ZSH.len()));
    for line in script.lines() {
        if line.starts_with("if [ \"$funcstack[1]\"") {
            out.push_str(ZSH.trim_start());
            out.push('\n');
        }
        match line.strip_suffix(":_default' \\").filter(|_| line.starts_with("'::profile -- ")) {
            Some(start) => out.extend([start, ":_claviger_names' \\"]),
            None => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

fn fish() -> String {
    let mut out = String::new();
    for verb in with_profile() {
        let condition = match verb.split_once(' ') {
            Some((noun, verb)) => {
                format!("__fish_claviger_using_subcommand {noun}; and __fish_seen_subcommand_from {verb}")
            }
            None => format!("__fish_claviger_using_subcommand {verb}"),
        };
        let names = "(claviger profile list --names 2>/dev/null)";
        let _ = writeln!(out, "complete -c claviger -n \"{condition}\" -f -a \"{names}\" -d Profile");
    }
    out
}

/// The verbs that take a profile.
fn with_profile() -> Vec<String> {
    let mut verbs = Vec::new();
    for command in Arguments::command().get_subcommands() {
        for inner in command.get_subcommands().filter(|inner| takes_profile(inner)) {
            verbs.push(format!("{} {}", command.get_name(), inner.get_name()));
        }
        if takes_profile(command) {
            verbs.push(command.get_name().to_owned());
        }
    }
    verbs
}

fn takes_profile(command: &clap::Command) -> bool {
    command.get_positionals().any(|argument| argument.get_id() == "profile")
}

/// Options after which a value comes, and no profile.
fn valued_options() -> Vec<String> {
    let command = Arguments::command();
    let all = command.get_subcommands().flat_map(|verb| std::iter::once(verb).chain(verb.get_subcommands()));
    let options = all.flat_map(clap::Command::get_opts).filter(|option| option.get_action().takes_values());
    let names: BTreeSet<String> = options.filter_map(|option| Some(format!("--{}", option.get_long()?))).collect();
    names.into_iter().collect()
}
