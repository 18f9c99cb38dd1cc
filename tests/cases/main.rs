//! Profiles, and the plan or the fault that each asked one meets. One scenario a folder; `expect.txt` is written anew
//! with `CLAVIGER_UPDATE=1`, and read by a person before it is committed.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod adopt;
mod given;
mod text;

use claviger_agent::session::Delivery;
use given::{Given, folders};

#[test]
fn every_case_is_as_expected() {
    let update = std::env::var_os("CLAVIGER_UPDATE").is_some_and(|value| value == "1");
    let mut wrong = Vec::new();
    let folders = folders();
    for folder in &folders {
        let given = Given::read(folder);
        let file = folder.join("expect.txt");
        let page = text::page(&given);
        if update {
            std::fs::write(&file, &page).expect("expect.txt");
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        if page != expected {
            let first = page.lines().zip(expected.lines().chain(std::iter::repeat(""))).find(|(now, then)| now != then);
            wrong.push(format!("{}: {first:?}", given.name));
        }
    }
    assert!(folders.len() > 70, "only {} cases were found", folders.len());
    assert!(
        wrong.is_empty(),
        "not as expected (now, expected); CLAVIGER_UPDATE=1 writes expect.txt anew:\n{}",
        wrong.join("\n")
    );
}

/// A folder without `given.json` would be passed over; so would a file that nobody reads.
#[test]
fn no_folder_and_no_file_is_forgotten() {
    for folder in folders() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let name = entry.expect("an entry").file_name();
            let known = ["config", "credentials", "profiles", "given.json", "expect.txt"];
            assert!(known.iter().any(|known| name == *known), "{}: {} is not read", folder.display(), name.display());
        }
        let given = Given::read(&folder);
        assert!(!given.asked.is_empty(), "{}: no profile is asked", given.name);
    }
}

/// Profiles that differ only in what STS is not told share the MFA session: one code serves them all.
#[test]
fn profiles_of_one_user_share_the_first_session() {
    use claviger_agent::session::SessionKey;
    for name in ["mfa-two-devices", "duration", "chain-of-three", "region"] {
        let folder = folders().into_iter().find(|folder| folder.ends_with(name)).expect(name);
        let given = Given::read(&folder);
        let mut keys = Vec::new();
        for profile in &given.asked {
            if let Ok(plan) = given.plan(profile, Delivery::Refreshing) {
                keys.push(SessionKey::of(&plan, 0));
            }
        }
        assert!(keys.len() > 1, "{name}: nothing to compare");
        keys.dedup();
        assert_eq!(keys.len(), 1, "{name}");
    }
}
