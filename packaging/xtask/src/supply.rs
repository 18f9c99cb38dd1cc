//! What the product is made of: no crate that is banned, no licence that was not agreed on, no source but the registry,
//! no crate twice. Advisories need a database from the network: `cargo deny check advisories`, by hand.

use crate::run::{Failure, Job, Outcome, make_folder, root, target, write};

/// Checks, after it was seen that each check can fail.
pub(crate) fn run() -> Outcome {
    let rules = std::fs::read_to_string(root().join(".deny.toml")).map_err(Failure::from("cannot read .deny.toml"))?;
    let folder = target().join("supply");
    make_folder(&folder)?;
    for (check, broken) in broken(&rules) {
        let broken = broken
            .ok_or_else(|| Failure::new(format!(".deny.toml has changed: the control of {check} cannot be made")))?;
        let path = folder.join(format!("{check}.toml"));
        write(&path, &broken)?;
        if deny().and(["--config"]).and([&path]).and(["check", check]).succeeds() {
            return Err(Failure::new(format!("{check}: rules that forbid what is there found nothing")));
        }
    }
    deny().and(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]).run()
}

fn deny() -> Job {
    Job::cargo("deny --locked")
}

/// The rules with one of them turned against what is there.
fn broken(rules: &str) -> [(&'static str, Option<String>); 3] {
    let with = |from: &str, to: &str| rules.contains(from).then(|| rules.replacen(from, to, 1));
    [
        ("bans", with("{ crate = \"ring\" }", "{ crate = \"tokio\" }")),
        ("licenses", with("    \"MIT\",\n", "")),
        ("sources", with("unknown-registry = \"deny\"", "unknown-registry = \"deny\"\nallow-registry = []")),
    ]
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_control_can_be_made_from_the_rules() {
        let rules = std::fs::read_to_string(crate::run::root().join(".deny.toml")).expect("the rules");
        for (check, broken) in super::broken(&rules) {
            assert!(broken.is_some_and(|broken| broken != rules), "{check}");
        }
    }
}
