//! There and back: generated files, the parser's case files, edits in between, ten thousand profiles, power loss.

use super::{Given, Job, Kind, Prepared, Sheets, prepare};
use crate::aws::profile::{Profile, ProfileSet, Role, TOKENS, case_entries, is_own_stub, parts};
use crate::jobs::Error;
use crate::session::plan::{Mfa, PlanError};
use crate::session::{Base, Plan};
use crate::testing::parsers::{Parser, Verdict};
use crate::testing::{FakeClock, FakeEntropy, MemoryDisk};
use crate::vault::Knowledge;
use crate::world::{WallTime, World};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

const PROGRAM: &str = "/opt/a b/claviger";
const PATHS: [&str; 3] = ["/h/.aws/config", "/h/.aws/credentials", "/h/.config/claviger/profiles"];

type Texts = [Option<String>; 3];

fn sheets(texts: &Texts) -> Sheets {
    let [config, credentials, own] = PATHS.map(Path::new);
    Sheets::of([(config, texts[0].as_deref()), (credentials, texts[1].as_deref()), (own, texts[2].as_deref())])
}

fn texts(sheets: &Sheets) -> Texts {
    sheets.texts().map(|text| text.map(str::to_owned))
}

fn adopt(profile: Option<&str>) -> Job {
    Job { kind: Kind::Adopt { program: PROGRAM.into() }, profile: profile.map(str::to_owned) }
}

fn release(profile: Option<&str>) -> Job {
    Job { kind: Kind::Release, profile: profile.map(str::to_owned) }
}

/// Every profile has a plan; that it is the right one is seen by real plans elsewhere.
fn any_plan(_: &ProfileSet, _: &Knowledge, name: &str) -> Result<Plan, PlanError> {
    let base = Base::AccessKey("dev".parse().unwrap());
    Ok(Plan { profile: name.to_owned(), base, mfa: Mfa::None, steps: Vec::new(), notes: Vec::new() })
}

fn plan_on(sheets: &Sheets, job: &Job) -> Result<Prepared, Error> {
    let knowledge = Knowledge::default();
    prepare(&Given { sheets, knowledge: &knowledge, items: None, planner: &any_plan }, job)
}

fn done(before: &Texts, job: &Job) -> Result<Texts, Error> {
    let sheets = sheets(before);
    Ok(texts(&sheets.with(&plan_on(&sheets, job)?)))
}

fn three(config: &str) -> Texts {
    [Some(config.to_owned()), None, None]
}

const PROD: &str = "\
# mine
[default]
region = eu-west-1   ; here

[profile prod]
# the role
role_arn = arn:aws:iam::123456789012:role/prod
region   =  eu-central-1
s3 =
    max_concurrent_requests = 10
    # nested
source_profile = dev

[profile other]
role_arn = arn:aws:iam::123456789012:role/other
";

#[test]
fn a_profile_goes_and_comes_back() {
    let before = three(PROD);
    let after = done(&before, &adopt(Some("prod"))).unwrap();
    let config = after[0].as_deref().unwrap();
    assert_eq!(
        config,
        PROD.replace(
            "role_arn = arn:aws:iam::123456789012:role/prod",
            "credential_process = \"/opt/a b/claviger\" process prod"
        )
        .replace("source_profile = dev\n", "")
    );
    let own = after[2].as_deref().unwrap();
    let settings =
        "[profile prod]\nrole_arn = arn:aws:iam::123456789012:role/prod\nsource_profile = dev\n# claviger adopted: {";
    assert!(own.contains(settings), "{own}");
    assert!(matches!(done(&after, &adopt(Some("prod"))), Err(Error::Adopted(_))));
    assert_eq!(done(&after, &release(Some("prod"))).unwrap(), before);
    assert!(matches!(done(&before, &release(Some("prod"))), Err(Error::NotAdopted(_))));
    assert!(matches!(done(&before, &release(Some("nobody"))), Err(Error::Plan(..))));
}

#[test]
fn what_others_wrote_in_between_stays() {
    let after = done(&three(PROD), &adopt(Some("prod"))).unwrap();
    let config = after[0].clone().unwrap();
    for (from, to) in [
        ("[profile other]", "# a comment of mine\n[profile more]\nregion = x\n\n[profile other]"),
        ("# mine\n", ""),
        ("region = eu-west-1   ; here\n", "region = eu-west-3\noutput = json\n"),
        ("role/other\n", "role/changed"),
    ] {
        let edited = [Some(config.replace(from, to)), after[1].clone(), after[2].clone()];
        assert_ne!(edited, after);
        let back = done(&edited, &release(Some("prod"))).unwrap();
        assert_eq!(back, three(&PROD.replace(from, to)), "{from}");
    }
}

#[test]
fn a_profile_that_was_edited_since_comes_back_as_it_stands_now() {
    let after = done(&three(PROD), &adopt(Some("prod"))).unwrap();
    let (config, own) = (after[0].clone().unwrap(), after[2].clone().unwrap());
    // In the config file: the settings come where claviger's line stood.
    let edited = [Some(config.replace("region   =  eu-central-1", "output = text")), None, after[2].clone()];
    let back = done(&edited, &release(Some("prod"))).unwrap();
    let wanted =
        "# the role\nrole_arn = arn:aws:iam::123456789012:role/prod\nsource_profile = dev\noutput = text\ns3 =\n";
    assert!(back[0].as_deref().unwrap().contains(wanted), "{back:?}");
    assert_eq!(back[2], None);
    // In claviger's own: what stands there now goes back.
    let edited =
        [after[0].clone(), None, Some(own.replacen("source_profile = dev", "source_profile = ops\nmfa_serial = x", 1))];
    let back = done(&edited, &release(Some("prod"))).unwrap();
    assert!(back[0].as_deref().unwrap().contains("source_profile = ops\nmfa_serial = x\n"), "{back:?}");
    // Below the record: it stays there.
    let edited = [after[0].clone(), None, Some(own.replace("}\n\n", "}\nclaviger_mfa = off\n\n"))];
    assert_ne!(edited[2], after[2]);
    let back = done(&edited, &release(Some("prod"))).unwrap();
    assert_eq!(back[0], three(PROD)[0]);
    assert!(back[2].as_deref().unwrap().contains("[profile prod]\nclaviger_mfa = off\n"), "{back:?}");
    // The section is gone: it is made again.
    let without = config.replace("[profile prod]", "[profile gone]").replace(" process prod", " process gone");
    let back = done(&[Some(without), None, after[2].clone()], &release(Some("prod"))).unwrap();
    assert!(back[0].as_deref().unwrap().starts_with("[profile prod]\nrole_arn = "), "{back:?}");
}

#[test]
fn a_moved_client_is_named_anew_and_the_way_back_stays() {
    let before = three(PROD);
    let after = done(&before, &adopt(Some("prod"))).unwrap();
    let elsewhere = Job { kind: Kind::Adopt { program: "/usr/bin/claviger".into() }, profile: Some("prod".into()) };
    let moved = done(&after, &elsewhere).unwrap();
    assert!(moved[0].as_deref().unwrap().contains("credential_process = \"/usr/bin/claviger\" process prod\n"));
    assert!(!moved[0].as_deref().unwrap().contains("/opt/a b"));
    assert_eq!(done(&moved, &release(None)).unwrap(), before);
}

#[test]
fn both_defaults_and_both_files_are_taken_and_given_back() {
    let before = [
        Some(
            "[default]\nrole_arn = old\nregion = a\n[profile default]\nrole_arn = new\nsource_profile = dev".to_owned(),
        ),
        Some("[default]\r\nmfa_serial = m\r\n\r\n[dev]\r\naws_access_key_id = AKIA\r\n".to_owned()),
        Some("[profile x]\nregion = y".to_owned()),
    ];
    let after = done(&before, &adopt(Some("default"))).unwrap();
    let config = after[0].as_deref().unwrap();
    assert_eq!(config.matches("credential_process = ").count(), 2, "{config}");
    assert!(!config.contains("role_arn") && !config.contains("source_profile"), "{config}");
    assert!(!after[1].as_deref().unwrap().contains("mfa_serial"));
    assert!(
        after[2].as_deref().unwrap().contains("role_arn = new\nsource_profile = dev\nmfa_serial = m\n"),
        "{after:?}"
    );
    assert_eq!(done(&after, &release(None)).unwrap(), before);
}

#[test]
fn keys_in_plain_text_are_not_adopted_and_of_all_passed_over() {
    let before = [
        Some("[profile a]\nrole_arn = x\nsource_profile = b\n".to_owned()),
        Some("[b]\naws_access_key_id = AKIA\naws_secret_access_key = canary\n".to_owned()),
        None,
    ];
    assert!(matches!(done(&before, &adopt(Some("b"))), Err(Error::PlainText(..))));
    let sheets = sheets(&before);
    let prepared = plan_on(&sheets, &adopt(None)).unwrap();
    assert_eq!((prepared.profiles.as_slice(), prepared.skipped.len()), (&["a".to_owned()][..], 1));
    assert!(!prepared.diff.concat().contains("canary"));
}

#[test]
fn a_profile_of_no_aws_file_gets_a_section_that_goes_with_it() {
    for config in [
        None,
        Some(""),
        Some("[profile z]\nregion = x"),
        Some("\u{feff}\r\n[profile z]\r\n"),
        Some("# mine\n\n# more\n[profile z]\n"),
    ] {
        let before = [config.map(str::to_owned), None, Some("[a b]\n[profile p]\nrole_arn = x\n".to_owned())];
        let one = done(&before, &adopt(Some("p"))).unwrap();
        let two = done(&one, &adopt(Some("q"))).unwrap();
        for order in [["p", "q"], ["q", "p"]] {
            let back = order.iter().fold(two.clone(), |texts, name| done(&texts, &release(Some(name))).unwrap());
            assert_eq!(back, before, "{order:?}");
        }
        assert_eq!(done(&two, &release(None)).unwrap(), before);
    }
}

#[test]
fn an_interrupted_adoption_or_release_goes_on() {
    let before = three(PROD);
    let after = done(&before, &adopt(Some("prod"))).unwrap();
    let between = [before[0].clone(), None, after[2].clone()];
    assert_eq!(done(&between, &adopt(Some("prod"))).unwrap(), after);
    assert_eq!(done(&between, &release(Some("prod"))).unwrap(), before);
}

#[test]
fn ten_thousand_profiles_go_and_come_back() {
    let profile = |n: usize| {
        format!(
            "[profile team-{n}]\nrole_arn = arn:aws:iam::123456789012:role/r{n}\nsource_profile = base\nregion = eu-west-1\n\n"
        )
    };
    let before = three(&(0..10_000).map(profile).collect::<String>());
    let after = done(&before, &adopt(None)).unwrap();
    assert_eq!(after[0].as_deref().unwrap().matches("credential_process").count(), 10_000);
    assert_eq!(done(&after, &release(None)).unwrap(), before);
}

/// Lines as people and tools write them, with every ending.
fn file(role: Role) -> impl Strategy<Value = Option<String>> {
    let name = prop::sample::select(vec!["default", "a", "b", "c-d"]);
    let header = (name, 0..4_u8).prop_map(move |(name, form)| match (role, form) {
        (Role::Credentials, _) | (_, 0) if role != Role::Config || name == "default" => format!("[{name}]"),
        (_, 1) => format!("[ profile  {name} ] # x"),
        (_, 2) => format!("[profile \"{name}\"]"),
        _ => format!("[profile {name}]"),
    });
    let line = prop::sample::select(vec![
        "region = x",
        "  output=json",
        "role_arn = r",
        "role_arn : s # why",
        "\tsource_profile = a",
        "mfa_serial = m",
        "source_profile = b ; c",
        "credential_process = tool x",
        "  duration_seconds = 900",
        "s3 =",
        "  max = 1",
        "    more",
        "",
        "   ",
        "# note",
        "  ; note",
        "claviger_mfa = off",
        "sso_session = s",
        "EXTERNAL_ID = e",
        "cli_pager =",
        "credential_process = claviger process a",
        "web_identity_token_file = /t",
    ]);
    let section = (header, prop::collection::vec(line, 0..7)).prop_map(|(header, lines)| {
        std::iter::once(header).chain(lines.into_iter().map(str::to_owned)).collect::<Vec<_>>()
    });
    let endings = prop::sample::select(vec!["\n", "\n", "\n", "\r\n", "\r"]);
    let text = (prop::collection::vec(section, 0..6), prop::collection::vec(endings, 60), any::<[bool; 3]>());
    let text = text.prop_map(|(sections, endings, [mark, open, mixed])| {
        let lines: Vec<String> = sections.concat();
        let mut text = if mark { "\u{feff}".to_owned() } else { String::new() };
        for (number, line) in lines.iter().enumerate() {
            text.push_str(line);
            if !(open && number + 1 == lines.len()) {
                text.push_str(endings[if mixed { number % endings.len() } else { 0 }]);
            }
        }
        text
    });
    prop::option::weighted(0.8, text)
}

/// Names of profiles that changed, in the order given, as far as they could be.
fn walk(start: &Texts, names: &[String], job: fn(Option<&str>) -> Job) -> (Texts, Vec<String>) {
    let mut now = start.clone();
    let mut walked = Vec::new();
    for name in names {
        match done(&now, &job(Some(name))) {
            Ok(next) => {
                now = next;
                walked.push(name.clone());
            }
            Err(Error::Adopted(_) | Error::WouldChange(_)) => {}
            Err(other) => panic!("{name}: {other}"),
        }
    }
    (now, walked)
}

proptest! {
    #[test]
    fn there_and_back_byte_for_byte(
        config in file(Role::Config), credentials in file(Role::Credentials), own in file(Role::Own),
        there in Just(vec!["default", "a", "b", "c-d", "new"]).prop_shuffle(), back in any::<prop::sample::Index>(),
        together in any::<bool>(),
    ) {
        let before = [config, credentials, own];
        prop_assume!(sheets(&before).parse().is_ok());
        let there: Vec<String> = there.into_iter().map(str::to_owned).collect();
        let (after, mut walked) = walk(&before, &there, adopt);
        let home = if together {
            match done(&after, &release(None)) {
                Ok(home) => home,
                Err(other) => panic!("{other}"),
            }
        } else {
            let turn = if walked.is_empty() { 0 } else { back.index(walked.len()) };
            walked.rotate_left(turn);
            let (home, returned) = walk(&after, &walked, release);
            prop_assert_eq!(returned, walked);
            home
        };
        prop_assert_eq!(&home, &before, "by way of {:?}", after);
    }
}

#[test]
fn the_cases_of_the_parser_go_and_come_back() {
    let mut whole = 0;
    for texts in crate::aws::profile::case_texts() {
        let sheets = sheets(&texts);
        let Ok(profiles) = sheets.parse() else { continue };
        let names: Vec<String> = profiles.profiles().map(Profile::name).map(str::to_owned).collect();
        for names in [names.clone(), names.into_iter().rev().collect()] {
            let plain = |name: &String| !profiles.profile(name).unwrap().keys().any(|(key, _)| key.starts_with("aws_"));
            let names: Vec<String> = names.into_iter().filter(plain).collect();
            let (after, walked) = walk(&texts, &names, adopt);
            let (home, _) = walk(&after, &walked, release);
            assert_eq!(home, texts, "{after:?}");
            whole += walked.len();
        }
    }
    assert!(whole > 150, "{whole}");
}

fn world(disk: &MemoryDisk) -> World {
    let clock = FakeClock::at(WallTime(1_700_000_000_000));
    World { clock, entropy: FakeEntropy::seeded(1), disk: Arc::new(disk.clone()) }
}

fn on_disk(texts: &Texts) -> MemoryDisk {
    let files = PATHS.into_iter().zip(texts).filter_map(|(path, text)| Some((path.into(), text.clone()?.into_bytes())));
    MemoryDisk::with(files.collect())
}

fn found(files: &BTreeMap<std::path::PathBuf, Vec<u8>>) -> Texts {
    PATHS.map(|path| files.get(Path::new(path)).map(|bytes| String::from_utf8(bytes.clone()).unwrap()))
}

/// Every state that a power loss may leave during a job: each file old or new, the profile planned as before, and the
/// job goes on to its end. Without a sync this does not hold.
fn every_crash(before: &Texts, job: &Job) {
    let after = done(before, job).unwrap();
    let act = |skipped: Option<usize>| {
        let disk = on_disk(before);
        if let Some(sync) = skipped {
            disk.skip_sync(sync);
        }
        let sheets = Sheets::read(&world(&disk), PATHS.map(Path::new)).unwrap();
        sheets.write(&world(&disk), &plan_on(&sheets, job).unwrap()).unwrap();
        disk.mark();
        disk
    };
    let disk = act(None);
    assert_eq!(found(&disk.files()), after);
    assert_eq!(disk.files().len(), after.iter().flatten().count(), "a leftover");
    let good = |state: &crate::testing::CrashState| {
        let now = found(&state.files);
        let whole = now.iter().zip(before).zip(&after).all(|((now, old), new)| now == old || now == new);
        if !whole || (state.marks == 1 && now != after) {
            return false;
        }
        let settings = |texts: &Texts| {
            let set = sheets(texts).parse().unwrap();
            let role = |key: &str| set.profile("prod").and_then(|it| Some(it.value(key)?.text().to_owned()));
            ["role_arn", "source_profile", "region"].map(role)
        };
        let finished = now == after || done(&now, job).is_ok_and(|texts| texts == after);
        settings(&now) == settings(before) && finished
    };
    let all_good = |disk: &MemoryDisk| {
        let mut all = true;
        let states = disk.crash_states(512, |state| all = all && good(state));
        assert!(states > 10, "{states}");
        all
    };
    assert!(all_good(&disk));
    for (sync, what) in disk.syncs().iter().enumerate() {
        assert!(!all_good(&act(Some(sync))), "nothing notices that the sync of {what} is missing");
    }
}

#[test]
fn a_power_loss_leaves_each_file_old_or_new_and_the_profile_whole() {
    let before =
        [Some(PROD.to_owned()), Some("[x]\nregion = y\n".to_owned()), Some("[profile q]\nregion = z".to_owned())];
    every_crash(&before, &adopt(Some("prod")));
    let after = done(&before, &adopt(Some("prod"))).unwrap();
    every_crash(&after, &release(Some("prod")));
    let alone = three(PROD);
    every_crash(&alone, &adopt(Some("prod")));
    every_crash(&done(&alone, &adopt(Some("prod"))).unwrap(), &release(None));
}

#[test]
fn a_failing_disk_leaves_each_file_whole_and_nothing_beside_it() {
    let before = three(PROD);
    let after = done(&before, &adopt(Some("prod"))).unwrap();
    let mut outcomes = BTreeSet::new();
    for call in 0.. {
        let disk = on_disk(&before);
        let sheets = Sheets::read(&world(&disk), PATHS.map(Path::new)).unwrap();
        let prepared = plan_on(&sheets, &adopt(Some("prod"))).unwrap();
        disk.settle();
        disk.fail(call, std::io::ErrorKind::StorageFull);
        let outcome = sheets.write(&world(&disk), &prepared);
        let now = found(&disk.files());
        assert!(now.iter().zip(&before).zip(&after).all(|((now, old), new)| now == old || now == new), "call {call}");
        let beside = disk.files().keys().filter(|path| !PATHS.map(Path::new).contains(&path.as_path())).count();
        assert_eq!(beside, 0, "call {call}");
        outcomes.insert(outcome.is_ok());
        if disk.calls() <= call {
            break;
        }
    }
    assert_eq!(outcomes, BTreeSet::from([false, true]));
}

#[test]
fn a_file_that_changed_meanwhile_is_left() {
    let disk = on_disk(&three(PROD));
    let sheets = Sheets::read(&world(&disk), PATHS.map(Path::new)).unwrap();
    let prepared = plan_on(&sheets, &adopt(Some("prod"))).unwrap();
    let path = Path::new(PATHS[0]);
    world(&disk).disk.append(path).unwrap().write_all(b"[profile late]\n").unwrap();
    assert!(matches!(sheets.write(&world(&disk), &prepared), Err(Error::FileChanged(_))));
    assert!(disk.files()[path].ends_with(b"[profile late]\n"));
    let again = Sheets::read(&world(&disk), PATHS.map(Path::new)).unwrap();
    assert_ne!(again.digest(&adopt(Some("prod"))), sheets.digest(&adopt(Some("prod"))));
}

#[test]
fn a_link_stays_a_link_and_mode_stays() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let (real, link) = (folder.path().join("dotfiles-config"), folder.path().join("config"));
    std::fs::write(&real, PROD).unwrap();
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    symlink("dotfiles-config", &link).unwrap();
    let (credentials, own) = (folder.path().join("credentials"), folder.path().join("new/profiles"));
    let world = World::real();
    let run = |job: &Job| {
        let sheets = Sheets::read(&world, [&link, &credentials, &own]).unwrap();
        sheets.write(&world, &plan_on(&sheets, job).unwrap()).unwrap();
    };
    run(&adopt(Some("prod")));
    assert!(link.is_symlink() && std::fs::read_to_string(&real).unwrap().contains("credential_process"));
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(std::fs::metadata(&own).unwrap().permissions().mode() & 0o777, 0o600);
    run(&release(None));
    assert_eq!(std::fs::read_to_string(&real).unwrap(), PROD);
    assert!(link.is_symlink() && !own.exists() && !credentials.exists());
    let names = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(names, 3, "config, its link, and the folder that was made");
}

#[test]
fn a_name_that_stands_further_in_is_not_continued_into() {
    let before = three("  [profile a]\n    [profile b]\n[profile c]\nregion = x\n");
    let after = done(&before, &adopt(None)).unwrap();
    let config = after[0].as_deref().unwrap();
    let alone = sheets(&three(config)).parse().ok().unwrap();
    for name in ["a", "b", "c"] {
        let stub = alone.profile(name).and_then(|profile| profile.value("credential_process")).unwrap();
        assert_eq!(is_own_stub(stub.text()).as_deref(), Some(name), "{config}");
        assert!(!stub.text().contains('\n'), "{config}");
    }
    assert_eq!(done(&after, &release(None)).unwrap(), before);
    // The same where a section is made at the top, for a profile of the credentials file.
    let before = [before[0].clone(), Some("[d]\nrole_arn = x\n".to_owned()), None];
    let after = done(&before, &adopt(Some("d"))).unwrap();
    let alone = sheets(&three(after[0].as_deref().unwrap())).parse().ok().unwrap();
    assert_eq!(alone.profiles().count(), 4, "{after:?}");
    assert_eq!(done(&after, &release(None)).unwrap(), before);
}

/// Whatever stands in the files: what is taken out of them comes back to the byte.
#[test]
fn files_that_are_edited_withstand_damage() {
    let edit = |text: &str| {
        let texts = parts(text).map(|text| (!text.is_empty()).then(|| text.to_owned()));
        let after = match done(&texts, &adopt(None)) {
            Ok(after) => after,
            Err(error) => {
                return Verdict::Refused {
                    kind: format!("{error:?}").split('(').next().unwrap_or_default().to_owned(),
                    said: String::new(),
                };
            }
        };
        assert!(sheets(&after).parse().is_ok(), "not a file of profiles any more");
        let home = done(&after, &release(None)).unwrap_or_else(|error| panic!("{error}"));
        // Of records in the input this is the end as well.
        assert!(home == texts || text.contains("# claviger adopted: "), "not what it was");
        Verdict::Accepted
    };
    let parser = Parser {
        name: "adoption",
        more: case_entries(),
        tokens: TOKENS,
        taken: 200,
        refusals: &["Files"],
        parse: &|input| std::str::from_utf8(input).map_or_else(|_| Verdict::none("not text"), edit),
    };
    parser.withstands_damage_of(2000);
}
