//! Every case's profiles adopted and released: each has the plan that it had, and every byte comes back.

use crate::given::{Given, folders};
use claviger_agent::jobs::adoption::{self, Job, Kind, Prepared, Sheets};

fn prepare(given: &Given, sheets: &Sheets, kind: Kind) -> Prepared {
    let planner = |profiles: &_, knowledge: &_, name: &str| given.plan_in(profiles, knowledge, name);
    let given = adoption::Given { sheets, knowledge: given.knowledge(), items: None, planner: &planner };
    adoption::prepare(&given, &Job { kind, profile: None }).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_plan_outlives_adoption_and_every_byte_comes_back() {
    let mut adopted = 0;
    // Ten thousand plans that each walk ten thousand profiles show nothing more.
    for folder in folders().into_iter().filter(|folder| !folder.ends_with("loop-of-ten-thousand")) {
        let given = Given::read(&folder);
        let before = given.sheets();
        let Ok(profiles) = before.parse() else { continue };
        let prepared = prepare(&given, &before, Kind::Adopt { program: "/usr/bin/claviger".into() });
        let after = before.with(&prepared);
        let now = after.parse().unwrap_or_else(|_| panic!("{}: not read any more", given.name));
        for profile in profiles.profiles() {
            let plan = |profiles| given.plan_in(profiles, given.knowledge(), profile.name());
            if let Ok(plan_before) = plan(&profiles) {
                assert!(plan(&now) == Ok(plan_before), "{}: {}", given.name, profile.name());
            }
        }
        let home = after.with(&prepare(&given, &after, Kind::Release));
        assert!(home.texts() == before.texts(), "{}: {:?}", given.name, home.texts());
        adopted += prepared.profiles.len();
    }
    assert!(adopted > 10_000, "{adopted}");
}
