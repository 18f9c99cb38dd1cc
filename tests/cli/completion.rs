//! `claviger completion`, sourced by the shells themselves.

use crate::agent::Home;
use crate::no_request;
use crate::program::{run, shell};
use claviger::wire::{ProfileRow, Reply, Request};

fn serve(home: &Home) {
    let row = |name: &str| ProfileRow {
        profile: name.to_owned(),
        source: "role".to_owned(),
        role: None,
        fault: None,
        adopted: false,
    };
    home.serve("run", move |request, _| match request {
        Request::ProfileList { skip: 0 } => {
            Ok(Reply::Profiles(["prod", "prod-eu", "dev", "a b", "x\ny"].map(row).to_vec()))
        }
        Request::ProfileList { .. } => Ok(Reply::Profiles(Vec::new())),
        other => no_request(other),
    });
    let bin = home.path().join("bin");
    std::fs::create_dir(&bin).expect("a folder");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_claviger"), bin.join("claviger")).expect("a link");
}

/// What a shell answers, None where it is not installed.
fn answer(home: &Home, program: &str, script: &str) -> Option<Vec<String>> {
    std::fs::write(home.path().join("script"), script).expect("a script");
    let line = format!(
        "command -v {program} >/dev/null || exit 99; PATH=\"$PWD/bin:$PATH\" HOME=$PWD TERM=dumb {program} ./script"
    );
    let got = shell(home, &line);
    if got.exit == 99 {
        return None;
    }
    assert_eq!((got.exit, got.stderr.as_str()), (0, ""), "{program}: {}", got.stdout);
    Some(got.stdout.lines().map(str::to_owned).collect())
}

#[test]
fn names_are_a_line_each() {
    let home = Home::new();
    serve(&home);
    let names = run(&home, &["profile", "list", "--names"], "");
    assert_eq!((names.exit, names.stdout.as_str()), (0, "prod\nprod-eu\ndev\na b\n"));
}

#[test]
fn bash_completes_verbs_options_profiles_and_commands() {
    let home = Home::new();
    serve(&home);
    let cases: [(&str, &[&str]); 10] = [
        ("claviger ex", &["exec"]),
        ("claviger exec --im", &["--imds"]),
        ("claviger exec pro", &["prod", "prod-eu"]),
        ("claviger process d", &["dev"]),
        ("claviger login a", &["a\\ b"]),
        ("claviger profile show prod-", &["prod-eu"]),
        ("claviger exec prod -- printen", &["printenv"]),
        ("claviger exec prod --region d", &[]),
        ("claviger mfa code p", &[]),
        ("claviger env --shell fi", &["fish"]),
    ];
    for (line, wanted) in cases {
        let script = format!(
            "source <(claviger completion bash)\nread -ra COMP_WORDS <<<'{line}'\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
             _claviger_and_names claviger \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"\n\
             [[ ${{#COMPREPLY[@]}} = 0 ]] || printf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
        );
        assert_eq!(answer(&home, "bash", &script).expect("bash is everywhere"), wanted, "{line}");
    }
    let registered = answer(&home, "bash", "source <(claviger completion bash)\ncomplete -p claviger\n");
    assert!(registered.expect("bash")[0].contains("-F _claviger_and_names"));
}

#[test]
fn fish_completes_verbs_options_and_profiles() {
    let home = Home::new();
    serve(&home);
    for (line, wanted) in [
        ("claviger ex", &["exec"][..]),
        ("claviger exec --im", &["--imds"]),
        ("claviger exec pro", &["prod", "prod-eu"]),
        ("claviger profile show prod-", &["prod-eu"]),
        ("claviger login a", &["a b"]),
        ("claviger env --shell fi", &["--shell fish", "fish"]),
    ] {
        let script =
            format!("claviger completion fish | source\ncomplete -C '{line}' | string split -f 1 \\t; or true\n");
        let Some(found) = answer(&home, "fish", &script) else { return };
        assert!(!found.is_empty() && found.iter().all(|found| wanted.contains(&found.as_str())), "{line}: {found:?}");
    }
}

#[test]
fn zsh_loads_it_and_asks_for_names() {
    let home = Home::new();
    serve(&home);
    // Completion itself needs a line editor; what it is fed with does not.
    let script = "autoload -Uz compinit; compinit -u -d dump\nsource <(claviger completion zsh)\n\
                  print $_comps[claviger]\ncompadd() { print -l ${(P)2} }\n_call_program() { shift; eval \"$*\" }\n_claviger_names\n";
    let Some(found) = answer(&home, "zsh", script) else { return };
    assert_eq!(found, ["_claviger", "prod", "prod-eu", "dev", "a b"]);
    let page = run(&home, &["completion", "zsh"], "").stdout;
    let asks = page.matches(":_claviger_names'").count();
    assert!(
        asks >= 8 && !page.lines().any(|line| line.starts_with("'::profile ") && line.contains("_default'")),
        "{asks}"
    );
}

#[test]
fn powershell_has_the_verbs() {
    let page = run(&Home::new(), &["completion", "powershell"], "").stdout;
    assert!(page.contains("Register-ArgumentCompleter") && page.contains("'claviger;exec'"), "{page}");
}
