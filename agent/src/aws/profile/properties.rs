//! What holds for any text.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Document, Profile, ProfileSet, Role, SourceFile, What, is_own_stub, limits};

fn load<'a>(files: &[(Role, &'a str)]) -> Result<ProfileSet, Vec<super::Problem>> {
    let file = |&(role, text): &(Role, &'a str)| SourceFile { path: Arc::from(Path::new("file")), role, text };
    ProfileSet::load(&files.iter().map(file).collect::<Vec<_>>())
}

/// All values of a profile without their lines.
fn content(profile: &Profile) -> Vec<(String, String)> {
    profile.keys().map(|(key, value)| (key.to_owned(), value.expose().to_owned())).collect()
}

/// Text made of the pieces that mean something to the parser.
fn near_text() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "[",
        "]",
        "profile ",
        "sso-session ",
        "services ",
        "default",
        "a",
        "b",
        "=",
        ":",
        " ",
        "\t",
        "#",
        ";",
        "\n",
        "\r",
        "\r\n",
        "\"",
        "'",
        "\\",
        "\0",
        "\u{feff}",
        "é",
        "\u{a0}",
        "\u{2028}",
        "[profile a]\n",
        "k = v\n",
        " s = t\n",
    ]);
    prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_comes_back_byte_for_byte(text in any::<String>(), near in near_text()) {
        prop_assert_eq!(Document::parse(&text).to_string(), text);
        prop_assert_eq!(Document::parse(&near).to_string(), near);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let text = String::from_utf8_lossy(&bytes);
        prop_assert_eq!(Document::parse(&text).to_string(), text.as_ref());
        is_own_stub(&text);
    }

    #[test]
    fn a_set_is_loaded_or_refused_with_lines_that_exist(
        config in near_text(), credentials in near_text(), own in near_text()
    ) {
        match load(&[(Role::Config, &config), (Role::Credentials, &credentials), (Role::Own, &own)]) {
            Ok(set) => {
                for profile in set.profiles() {
                    prop_assert!(set.profile(profile.name()).is_some());
                    prop_assert_eq!(set.nearest(profile.name(), 1), [profile.name()]);
                }
            }
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                let most = [&config, &credentials, &own].map(|text| Document::parse(text).lines.len()).into_iter().max();
                prop_assert!(problems.iter().all(|problem| (1..=most.unwrap()).contains(&problem.origin.line)));
            }
        }
    }

    #[test]
    fn a_profile_does_not_depend_on_other_sections(
        before in near_text(), after in near_text(), value in "[a-z0-9:/ ]{0,20}"
    ) {
        let section = format!("[profile wanted]\nregion = {value}\ns3 =\n  max = {value}\n");
        let alone = load(&[(Role::Config, &section)]).ok().unwrap();
        let among = format!("[profile one]\n{before}\n{section}[profile two]\n{after}\n");
        if let Ok(set) = load(&[(Role::Config, &among)]) {
            prop_assert_eq!(content(set.profile("wanted").unwrap()), content(alone.profile("wanted").unwrap()));
        }
    }

    #[test]
    fn the_order_of_files_does_not_matter(config in near_text(), credentials in near_text(), own in near_text()) {
        let files = [(Role::Config, config.as_str()), (Role::Credentials, &credentials), (Role::Own, &own)];
        let mut turned = files;
        turned.reverse();
        let content = |files| load(files).ok().map(|set| set.profiles().map(content).collect::<Vec<_>>());
        prop_assert_eq!(content(&files), content(&turned));
    }
}

#[test]
fn ten_thousand_profiles_are_all_there() {
    let profile = |n: usize| {
        format!(
            "[profile team-{n}]\nrole_arn = arn:aws:iam::123456789012:role/r{n}\nsource_profile = base\nregion = eu-west-1\n\n"
        )
    };
    let config: String = (0..10_000).map(profile).collect();
    let credentials: String = (0..10_000).map(|n| format!("[team-{n}]\naws_access_key_id = AKIA{n}\n")).collect();
    let set = load(&[(Role::Config, &config), (Role::Credentials, &credentials)]).ok().unwrap();
    assert_eq!(set.profiles().count(), 10_000);
    let last = set.profile("team-9999").unwrap();
    assert_eq!((last.keys().count(), last.value("aws_access_key_id").unwrap().text()), (4, "AKIA9999"));
    assert_eq!(last.value("role_arn").unwrap().origin.line, 9_999 * 5 + 2);
    assert_eq!(set.nearest("taem-77", 1), ["team-77"]);
}

#[test]
fn one_section_with_very_many_keys_is_read_once_each() {
    let config: String = "[default]\n".to_owned() + &(0..100_000).map(|n| format!("k{n} = v\n")).collect::<String>();
    let set = load(&[(Role::Config, &config)]).ok().unwrap();
    assert_eq!(set.profile("default").unwrap().keys().count(), 100_000);
}

#[test]
fn nearest_names_come_nearest_first_and_strangers_not_at_all() {
    let config = "[profile production]\n[profile prod]\n[profile prod-eu]\n[profile staging]\n[default]\n";
    let set = load(&[(Role::Config, config)]).ok().unwrap();
    assert_eq!(set.nearest("prod-e", 3), ["prod-eu", "prod"]);
    assert_eq!(set.nearest("PROD", 1), ["prod"]);
    assert_eq!(set.nearest("defualt", 5), ["default"]);
    assert!(set.nearest("xyzzy", 5).is_empty());
    assert!(set.nearest("", 5).is_empty());
    assert!(set.nearest("prod", 0).is_empty());
    assert!(set.nearest(&"x".repeat(1_000_000), 5).is_empty());
}

#[test]
fn secrets_read_as_a_mask_until_exposed() {
    let credentials =
        "[a]\nAWS_Secret_Access_Key = canary\naws_session_token = canary\naws_access_key_id = AKIAEXAMPLE\n";
    let set = load(&[(Role::Credentials, credentials)]).ok().unwrap();
    let profile = set.profile("a").unwrap();
    assert!(profile.keys().all(|(_, value)| !value.text().contains("canary")));
    assert_eq!(profile.value("aws_secret_access_key").unwrap().expose(), "canary");
    assert_eq!(profile.value("aws_access_key_id").unwrap().text(), "AKIAEXAMPLE");
}

#[test]
fn a_problem_names_file_line_and_kind_but_never_the_text() {
    let problems = load(&[(Role::Credentials, "[a]\naws_secret_access_key canary\n")]).err().unwrap();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].to_string(), "file, line 2: expected 'key = value'");
    assert!(!format!("{problems:?}").contains("canary"));
}

#[test]
fn a_binary_file_has_few_problems() {
    let text = "[a]\n".to_owned() + &"nonsense\n".repeat(100_000);
    let problems = load(&[(Role::Config, &text)]).err().unwrap();
    assert_eq!(problems.len(), limits::PROBLEMS);
}

#[test]
fn limits_hold_at_their_edges() {
    let longest = format!("[default]\nk={}\n", "x".repeat(limits::LINE_BYTES - 2));
    assert!(load(&[(Role::Config, &longest)]).is_ok());
    let longer = longest.replace("k=", "kk=");
    assert_eq!(load(&[(Role::Config, &longer)]).err().unwrap()[0].what, What::LineTooLong);
    let most = "[default]\nk =\n".to_owned() + &" a = b\n".repeat(limits::CONTINUATION_LINES);
    assert!(load(&[(Role::Config, &most)]).is_ok());
    let more = most + " a = b\n";
    assert_eq!(load(&[(Role::Config, &more)]).err().unwrap()[0].what, What::TooManyContinuationLines);
}
