//! Two requests share a session exactly where STS would be asked the same.

use crate::rig::{Rig, ada, rig};
use claviger::model::{Arn, MfaSerial, Region};
use claviger_agent::aws::profile::Origin;
use claviger_agent::aws::{Endpoint, EndpointRules};
use claviger_agent::config::Sources;
use claviger_agent::session::{Base, Call, Mfa, Plan, RoleRequest, SessionKey, Step};
use claviger_agent::source::{Source, SourceRules};
use claviger_sandbox::Seed;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert_eq, prop_oneof, proptest};
use std::path::Path;

/// Texts so short that equal ones, and ones that only differ in where they are cut, come up all the time.
fn text() -> impl Strategy<Value = String> {
    "[ab]{0,2}"
}

fn serial() -> impl Strategy<Value = MfaSerial> {
    "[ab]".prop_map(|name| format!("arn:aws:iam::123456789012:mfa/{name}").parse().unwrap())
}

fn arn() -> impl Strategy<Value = Arn> {
    "[ab]{1,2}".prop_map(|name| format!("arn:aws:iam::123456789012:role/{name}").parse().unwrap())
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let urls = ["http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:1/a"];
    (0..urls.len(), prop_oneof![Just("eu-west-1"), Just("eu-west-2")]).prop_map(move |(url, region)| {
        let allow = urls[..2].iter().map(|url| (*url).to_owned()).collect::<Vec<_>>();
        let region: Region = region.parse().unwrap();
        EndpointRules::new(&allow, &[]).unwrap().sts(&region, Some(urls[url])).unwrap()
    })
}

fn request() -> impl Strategy<Value = RoleRequest> {
    let lists = (vec(arn(), 0..3), vec((text(), text()), 0..3), vec(text(), 0..3));
    (arn(), text(), option::of(text()), option::of(text()), option::of(text()), lists).prop_map(
        |(role, session_name, external_id, policy, source_identity, (policy_arns, tags, transitive_tag_keys))| {
            RoleRequest {
                role,
                session_name,
                external_id,
                policy,
                policy_arns,
                tags,
                transitive_tag_keys,
                source_identity,
            }
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let call = prop_oneof![Just(Call::SessionToken), request().prop_map(|request| Call::AssumeRole(Box::new(request)))];
    let seconds = prop_oneof![Just(900), Just(3600)];
    (call, seconds, endpoint(), any::<bool>()).prop_map(|(call, seconds, endpoint, with_code)| Step {
        call,
        seconds,
        endpoint,
        with_code,
    })
}

fn plan() -> impl Strategy<Value = Plan> {
    let access_key = prop_oneof![Just("a"), Just("b")].prop_map(|name| Base::AccessKey(name.parse().unwrap()));
    let source =
        prop_oneof![Just("a"), Just("b"), Just("a b"), Just("'a b'")].prop_map(|text| Base::Source(command(text)));
    let base = prop_oneof![access_key, source];
    let mfa = prop_oneof![Just(Mfa::None), vec(serial(), 1..3).prop_map(Mfa::Held), serial().prop_map(Mfa::Typed)];
    (text(), base, mfa, vec(step(), 1..3), vec(text(), 0..2)).prop_map(|(profile, base, mfa, steps, notes)| Plan {
        profile,
        base,
        mfa,
        steps,
        notes,
    })
}

/// Everything that STS would see of a plan up to a step.
fn asked(plan: &Plan, index: usize) -> (&Base, &Mfa, &[Step]) {
    (&plan.base, &plan.mfa, &plan.steps[..=index.min(plan.steps.len() - 1)])
}

type Change = (&'static str, fn(&mut Plan));

/// One change for every field there is.
const CHANGES: &[Change] = &[
    ("base", |plan| {
        plan.base = match &plan.base {
            Base::AccessKey(name) => Base::AccessKey(format!("{name}x").parse().unwrap()),
            Base::Source(_) => Base::Source(command("another")),
        }
    }),
    ("a source named like an access key", |plan| {
        plan.base = match &plan.base {
            Base::AccessKey(name) => Base::Source(command(name.as_str())),
            Base::Source(_) => Base::AccessKey("source".parse().unwrap()),
        }
    }),
    ("devices", |plan| {
        plan.mfa = match &plan.mfa {
            Mfa::None => Mfa::Typed("GAHT12345678".parse().unwrap()),
            Mfa::Held(serials) => Mfa::Typed(serials[0].clone()),
            Mfa::Typed(serial) => Mfa::Held(vec![serial.clone()]),
        }
    }),
    ("one device more", |plan| {
        let more: MfaSerial = "GAHT12345678".parse().unwrap();
        plan.mfa = match &plan.mfa {
            Mfa::Held(serials) => Mfa::Held(serials.iter().cloned().chain([more]).collect()),
            Mfa::None | Mfa::Typed(_) => Mfa::Held(vec![more]),
        }
    }),
    ("duration", |plan| plan.steps[0].seconds += 1),
    ("code", |plan| plan.steps[0].with_code = !plan.steps[0].with_code),
    ("endpoint", |plan| plan.steps[0].endpoint = at("http://127.0.0.1:3", "eu-west-1")),
    ("region", |plan| {
        let url = plan.steps[0].endpoint.url().to_string();
        plan.steps[0].endpoint = at(&url, "eu-west-3");
    }),
    ("role", |plan| role(plan).role = "arn:aws:iam::123456789012:role/other".parse().unwrap()),
    ("session name", |plan| role(plan).session_name.push('x')),
    ("external id", |plan| more(&mut role(plan).external_id)),
    ("policy", |plan| more(&mut role(plan).policy)),
    ("source identity", |plan| more(&mut role(plan).source_identity)),
    ("policy arns", |plan| role(plan).policy_arns.push("arn:aws:iam::aws:policy/x".parse().unwrap())),
    ("tags", |plan| role(plan).tags.push((String::new(), String::new()))),
    ("transitive", |plan| role(plan).transitive_tag_keys.push(String::new())),
    ("an empty external id is not none", |plan| {
        let request = role(plan);
        request.external_id = if request.external_id.is_none() { Some(String::new()) } else { None };
    }),
    ("a call more", |plan| {
        let step = Step { call: Call::SessionToken, ..plan.steps[0].clone() };
        plan.steps.insert(0, step);
    }),
];

fn more(value: &mut Option<String>) {
    value.get_or_insert_default().push('x');
}

/// The first step's role request; one is made where there is none.
fn role(plan: &mut Plan) -> &mut RoleRequest {
    if plan.steps[0].call == Call::SessionToken {
        let blank = RoleRequest {
            role: "arn:aws:iam::123456789012:role/blank".parse().unwrap(),
            session_name: String::new(),
            external_id: None,
            policy: None,
            policy_arns: Vec::new(),
            tags: Vec::new(),
            transitive_tag_keys: Vec::new(),
            source_identity: None,
        };
        plan.steps[0].call = Call::AssumeRole(Box::new(blank));
    }
    match &mut plan.steps[0].call {
        Call::AssumeRole(request) => request,
        Call::SessionToken | Call::Source => panic!("just made"),
    }
}

fn command(text: &str) -> Source {
    let rules = SourceRules::new(&Sources::default(), &[text.to_owned()]).unwrap();
    rules.command(text, &Origin { file: Path::new("config").into(), line: 1 }).unwrap()
}

fn at(url: &str, region: &str) -> Endpoint {
    let origin = url::Url::parse(url).unwrap().origin().ascii_serialization();
    EndpointRules::new(&[origin], &[]).unwrap().sts(&region.parse().unwrap(), Some(url)).unwrap()
}

fn last(plan: &Plan) -> SessionKey {
    SessionKey::of(plan, plan.steps.len() - 1)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn any_one_field_changes_the_key(mut plan in plan()) {
        // So that changing a field of the request is that alone, not the making of a request as well.
        role(&mut plan);
        for (name, change) in CHANGES {
            let mut changed = plan.clone();
            change(&mut changed);
            assert_ne!(changed, plan, "{name} changes something");
            assert_ne!(last(&changed), last(&plan), "{name}");
        }
    }

    #[test]
    fn keys_are_equal_exactly_where_sts_is_asked_the_same(one in plan(), other in plan(), index in 0..2_usize) {
        let same = asked(&one, index) == asked(&other, index);
        prop_assert_eq!(SessionKey::of(&one, index) == SessionKey::of(&other, index), same);
    }

    #[test]
    fn neither_the_profile_nor_later_steps_nor_notes_matter(plan in plan(), step in step(), name in text()) {
        let index = plan.steps.len() - 1;
        let mut other = plan.clone();
        other.profile = name;
        other.notes.push("a note".to_owned());
        other.steps.push(step);
        prop_assert_eq!(SessionKey::of(&other, index), SessionKey::of(&plan, index));
    }

    /// Random pairs are seldom equal: here the second is the first but for one call of the two.
    #[test]
    fn two_requests_share_a_key_exactly_where_they_are_equal(plan in plan(), one in request(), other in request()) {
        let with = |request: &RoleRequest| {
            let mut plan = plan.clone();
            plan.steps[0].call = Call::AssumeRole(Box::new(request.clone()));
            last(&plan)
        };
        prop_assert_eq!(with(&one) == with(&other), one == other);
    }
}

#[tokio::test]
async fn two_profiles_that_ask_the_same_share_one_session() {
    let twin = "[twin]\nclaviger_access_key = ada\nrole_arn = arn:aws:iam::123456789012:role/prod-admin\nregion = us-east-1\n\
                [elsewhere]\nclaviger_access_key = ada\nrole_arn = arn:aws:iam::123456789012:role/prod-admin\nregion = eu-central-1\n";
    let rig = Rig::with(Seed::demo(7), twin);
    let prod = rig.get("prod").await;
    assert_eq!(rig.get("twin").await.access_key_id, prod.access_key_id);
    assert_eq!(rig.network.count(), 2);
    assert_ne!(
        rig.get("elsewhere").await.access_key_id,
        prod.access_key_id,
        "another region's STS gives another session"
    );
    let hosts: Vec<String> = rig.network.seen("AssumeRole").into_iter().map(|seen| seen.host).collect();
    assert_eq!(hosts, ["sts.us-east-1.amazonaws.com", "sts.eu-central-1.amazonaws.com"]);
    assert_eq!(rig.steps(), [0], "but all of one identity share the MFA session");
}

#[test]
fn the_access_key_by_its_own_name_is_the_mfa_session_that_all_its_profiles_share() {
    let rig = rig();
    let (own, prod) = (rig.plan("ada"), rig.plan("prod"));
    assert_eq!(own.base, Base::AccessKey(ada()));
    assert_eq!(last(&own), SessionKey::of(&prod, 0));
    assert_ne!(last(&own), last(&prod));
}
