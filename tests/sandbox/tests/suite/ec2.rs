//! Key pairs: names, quotas, tags, permissions, and what EC2 says instead of what others say.

use crate::common::{Keys, Reply, Rig, demo, form, read, rig, signed};
use claviger_sandbox::{Fault, FaultKind, Seed, SeedUser};
use data_encoding::BASE64;
use serde_json::json;

const EAST: &str = "us-east-1";
/// The key of RFC 8032's first test, in OpenSSH's form.
const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq3v+8J4+/ATyjxOyQKIDdMBuVFAAUBjoTh somebody";

fn import(rig: &Rig, keys: &Keys, region: &str, name: &str, line: &str) -> Reply {
    let material = BASE64.encode(line.as_bytes());
    rig.ec2(keys, region, "ImportKeyPair", &[("KeyName", name), ("PublicKeyMaterial", &material)])
}

fn described(rig: &Rig, region: &str, parameters: &[(&str, &str)]) -> Reply {
    rig.ec2(&rig.ada(), region, "DescribeKeyPairs", parameters)
}

fn names(reply: &Reply) -> Vec<&str> {
    reply.body.split("<keyName>").skip(1).map(|rest| rest.split('<').next().unwrap()).collect()
}

#[test]
fn replies_have_ec2s_shape() {
    let rig = demo();
    let reply = described(&rig, EAST, &[]).ok();
    assert!(reply.body.starts_with(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DescribeKeyPairsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>"
    ));
    let refused = described(&rig, EAST, &[("KeyName.1", "ghost")]);
    refused.refused(400, "InvalidKeyPair.NotFound", "The key pair 'ghost' does not exist");
    assert!(refused.body.contains("<Response><Errors><Error><Code>"), "{}", refused.body);
    assert!(refused.body.contains("</Error></Errors><RequestID>"), "{}", refused.body);
    assert_eq!(rig.sandbox.history()[1].error.as_deref(), Some("InvalidKeyPair.NotFound"));
}

#[test]
fn what_all_services_refuse_ec2_refuses_in_its_own_words() {
    let rig = demo();
    let ask = |keys: &Keys, region: &str, millis: i64| {
        read(rig.sandbox.handle(signed(keys, "ec2", region, millis, form("ec2", "DescribeKeyPairs", &[]))))
    };
    let (ada, now) = (rig.ada(), rig.now());
    ask(&ada, EAST, now).ok();
    let not_validated = "AWS was not able to validate the provided access credentials";
    ask(&Keys { secret: "junk".to_owned(), ..ada.clone() }, EAST, now).refused(401, "AuthFailure", not_validated);
    ask(&Keys { id: "AKIAAAAAAAAAAAAAAAAA".to_owned(), ..ada.clone() }, EAST, now).refused(401, "AuthFailure", "");
    ask(&ada, "eu-south-1", now).refused(401, "AuthFailure", not_validated);
    ask(&ada, EAST, now - 3_600_000).refused(400, "RequestExpired", "Request has expired.");
    let session = rig.session(None);
    ask(&session, EAST, now).ok();
    rig.wait(43_201);
    ask(&session, EAST, rig.now()).refused(400, "RequestExpired", "Request has expired.");
    read(rig.sandbox.handle(form("ec2", "DescribeKeyPairs", &[]))).refused(400, "MissingParameter", "AWSAccessKeyId");
    rig.ec2(&ada, EAST, "RunInstances", &[]).refused(400, "InvalidAction", "The action RunInstances is not valid");
    rig.sandbox.inject(Fault::next("DescribeKeyPairs", FaultKind::Throttle(503)));
    described(&rig, EAST, &[]).refused(503, "RequestLimitExceeded", "Request limit exceeded.");
    described(&rig, EAST, &[("KeyNames.1", "x")]).refused(400, "UnknownParameter", "KeyNames.1 is not recognized");
    described(&rig, EAST, &[("DryRun", "true")]).refused(412, "DryRunOperation", "would have succeeded");
    described(&rig, EAST, &[("DryRun", "maybe")]).refused(400, "InvalidParameterValue", "DryRun");
}

#[test]
fn a_pair_is_of_one_region_and_its_name_of_one_kind() {
    let rig = demo();
    let ada = rig.ada();
    let made = import(&rig, &ada, EAST, "own", ED25519).ok();
    assert!(made.text("keyPairId").starts_with("key-0") && made.text("keyPairId").len() == 21);
    import(&rig, &ada, EAST, "own", ED25519).refused(400, "InvalidKeyPair.Duplicate", "already exists");
    rig.ec2(&ada, EAST, "CreateKeyPair", &[("KeyName", "own")]).refused(400, "InvalidKeyPair.Duplicate", "");
    import(&rig, &ada, "eu-west-1", "own", ED25519).ok();
    assert_eq!(names(&described(&rig, EAST, &[])), ["ada-launch", "own"]);
    assert_eq!(names(&described(&rig, "eu-west-1", &[])), ["own"]);
    assert!(names(&described(&rig, "sa-east-1", &[])).is_empty());
    rig.ec2(&ada, EAST, "DeleteKeyPair", &[("KeyName", "own")]).ok();
    assert_eq!(names(&described(&rig, EAST, &[])), ["ada-launch"]);
    assert_eq!(names(&described(&rig, "eu-west-1", &[])), ["own"]);
}

#[test]
fn deleting_what_is_not_there_succeeds() {
    let rig = demo();
    let ada = rig.ada();
    let delete = |parameters: &[(&str, &str)]| rig.ec2(&ada, EAST, "DeleteKeyPair", parameters);
    let id = described(&rig, EAST, &[]).text("keyPairId").to_owned();
    for missing in [("KeyName", "ghost"), ("KeyPairId", "key-00000000000000000")] {
        let reply = delete(&[missing]).ok();
        assert_eq!((reply.text("return"), reply.find("keyPairId")), ("true", None));
    }
    delete(&[("KeyName", "ghost"), ("KeyPairId", &id)]).ok();
    assert_eq!(names(&described(&rig, EAST, &[])), ["ada-launch"]);
    let reply = delete(&[("KeyPairId", &id)]).ok();
    assert_eq!((reply.text("return"), reply.text("keyPairId")), ("true", id.as_str()));
    assert!(names(&described(&rig, EAST, &[])).is_empty());
    delete(&[]).refused(400, "MissingParameter", "The request must contain the parameter KeyName");
}

#[test]
fn names_and_choices_are_checked() {
    let rig = demo();
    let create = |parameters: &[(&str, &str)]| rig.ec2(&rig.ada(), EAST, "CreateKeyPair", parameters);
    let kind = ("KeyType", "ed25519");
    create(&[kind]).refused(400, "MissingParameter", "KeyName");
    create(&[kind, ("KeyName", "")]).refused(400, "MissingParameter", "KeyName");
    for name in [" ahead", "behind ", "schlüssel", "line\nend", &"x".repeat(256)] {
        create(&[kind, ("KeyName", name)]).refused(400, "InvalidParameterValue", "for parameter keyName is invalid");
    }
    create(&[kind, ("KeyName", &"x".repeat(255))]).ok();
    create(&[kind, ("KeyName", "a b/c:d")]).ok();
    create(&[("KeyName", "n"), ("KeyType", "ecdsa")]).refused(400, "InvalidParameterValue", "KeyType");
    create(&[kind, ("KeyName", "n"), ("KeyFormat", "jwk")]).refused(400, "InvalidParameterValue", "KeyFormat");
}

#[test]
fn the_quota_is_of_each_region() {
    let mut seed = Seed::demo(7);
    seed.key_pair_quota = 2;
    let rig = rig(seed);
    let ada = rig.ada();
    import(&rig, &ada, EAST, "second", ED25519).ok();
    import(&rig, &ada, EAST, "third", ED25519).refused(400, "KeyPairLimitExceeded", "Maximum of 2 keypairs");
    rig.ec2(&ada, EAST, "CreateKeyPair", &[("KeyName", "third")]).refused(400, "KeyPairLimitExceeded", "");
    import(&rig, &ada, "us-west-2", "third", ED25519).ok();
    rig.ec2(&ada, EAST, "DeleteKeyPair", &[("KeyName", "second")]).ok();
    import(&rig, &ada, EAST, "third", ED25519).ok();
    assert_eq!(Seed::demo(7).key_pair_quota, 5000);
}

#[test]
fn tags_filters_and_public_keys() {
    let rig = demo();
    let ada = rig.ada();
    let material = BASE64.encode(ED25519.as_bytes());
    let tagged = |name: &str, more: &[(&str, &str)]| {
        let base =
            [("KeyName", name), ("PublicKeyMaterial", &material), ("TagSpecification.1.ResourceType", "key-pair")];
        rig.ec2(&ada, EAST, "ImportKeyPair", &[&base, more].concat())
    };
    let tag = |key: &'static str, value: &'static str| {
        [("TagSpecification.1.Tag.1.Key", key), ("TagSpecification.1.Tag.1.Value", value)]
    };
    let made = tagged("own", &tag("Team", "a&b")).ok();
    assert!(made.body.contains("<tagSet><item><key>Team</key><value>a&amp;b</value></item></tagSet>"), "{}", made.body);
    tagged("bad", &tag("aws:x", "y")).refused(400, "InvalidParameterValue", "reserved");
    tagged("bad", &tag("", "y")).refused(400, "InvalidParameterValue", "empty");
    let doubled = [&tag("a", "1")[..], &[("TagSpecification.1.Tag.2.Key", "a")]].concat();
    tagged("bad", &doubled).refused(400, "InvalidParameterValue", "Duplicate tag key 'a'");
    rig.ec2(&ada, EAST, "CreateKeyPair", &[("KeyName", "bad"), ("TagSpecification.1.ResourceType", "instance")])
        .refused(400, "InvalidParameterValue", "'instance' is not a valid taggable resource type");

    let filtered = |name: &str, values: &[&str]| {
        let names: Vec<String> = (1..=values.len()).map(|index| format!("Filter.1.Value.{index}")).collect();
        let values = names.iter().map(String::as_str).zip(values.iter().copied());
        let parameters: Vec<_> = [("Filter.1.Name", name)].into_iter().chain(values).collect();
        described(&rig, EAST, &parameters)
    };
    for (name, values, found) in [
        ("key-name", &["own"][..], &["own"][..]),
        ("key-name", &["o*", "ghost"], &["own"]),
        ("key-name", &["a?a-launch"], &["ada-launch"]),
        ("key-name", &["OWN"], &[]),
        ("key-pair-id", &[made.text("keyPairId")], &["own"]),
        ("fingerprint", &[made.text("keyFingerprint")], &["own"]),
        ("tag:Team", &["a&b"], &["own"]),
        ("tag:Team", &["b"], &[]),
        ("tag-key", &["Owner", "Team"], &["ada-launch", "own"]),
        ("tag-key", &["Ghost"], &[]),
    ] {
        assert_eq!(names(&filtered(name, values).ok()), found, "{name} {values:?}");
    }
    filtered("key-type", &["rsa"]).refused(400, "InvalidParameterValue", "The filter 'key-type' is invalid");
    let both = [("Filter.1.Name", "key-name"), ("Filter.1.Value.1", "o*"), ("Filter.2.Name", "tag-key")];
    assert_eq!(names(&described(&rig, EAST, &[&both[..], &[("Filter.2.Value.1", "Team")]].concat())), ["own"]);
    assert!(names(&described(&rig, EAST, &[&both[..], &[("Filter.2.Value.1", "Owner")]].concat())).is_empty());

    assert_eq!(described(&rig, EAST, &[("KeyName.1", "own")]).find("publicKey"), None);
    let shown = described(&rig, EAST, &[("KeyName.1", "own"), ("IncludePublicKey", "true")]).ok();
    assert_eq!(shown.text("publicKey"), ED25519.replace("somebody", "own"));
    assert_eq!((shown.text("keyType"), shown.text("createTime")), ("ed25519", "2026-03-01T12:00:10.000Z"));

    let id = made.text("keyPairId").to_owned();
    let add = |resource: &str, key: &str| {
        rig.ec2(&ada, EAST, "CreateTags", &[("ResourceId.1", resource), ("Tag.1.Key", key), ("Tag.1.Value", "v")])
    };
    assert_eq!(add(&id, "More").ok().text("return"), "true");
    assert!(described(&rig, EAST, &[("KeyName.1", "own")]).body.contains("<key>More</key><value>v</value>"));
    add("key-00000000000000000", "More").refused(400, "InvalidKeyPair.NotFound", "key-00000000000000000");
    add("i-00000000000000000", "More").refused(400, "InvalidInstanceID.NotFound", "i-00000000000000000");
    add("vol-1", "More").refused(400, "InvalidID", "vol-1");
    for index in 0..48 {
        add(&id, &format!("key-{index}")).ok();
    }
    add(&id, "one-more").refused(400, "TagLimitExceeded", "");
    add(&id, "key-0").ok();
}

#[test]
fn permission_is_per_action_region_and_tag() {
    let statement = json!([
        {"Effect": "Allow", "Action": ["ec2:DescribeKeyPairs", "ec2:ImportKeyPair"], "Resource": "*",
         "Condition": {"StringEquals": {"aws:RequestedRegion": ["us-east-1", "eu-west-1"]}}},
        {"Effect": "Allow", "Action": "ec2:DeleteKeyPair", "Resource": "arn:aws:ec2:*:123456789012:key-pair/own*",
         "Condition": {"StringNotEquals": {"aws:ResourceTag/Keep": "yes"}}},
        {"Effect": "Allow", "Action": "ec2:CreateTags", "Resource": "*",
         "Condition": {"StringEquals": {"ec2:CreateAction": "ImportKeyPair", "aws:RequestTag/Keep": "yes"}}}
    ]);
    let user =
        SeedUser::named("eve").with_access_key("AKIAEVEEVEEVEEVEEVEE", "secret-of-nobody").with_policy(statement);
    let rig = rig(Seed::empty("123456789012").with_user(user));
    let eve = rig.ada();
    let ask = |region: &str, action: &str, parameters: &[(&str, &str)]| rig.ec2(&eve, region, action, parameters);
    ask("eu-west-1", "DescribeKeyPairs", &[]).ok();
    let refused = ask("us-west-2", "DescribeKeyPairs", &[]);
    refused.refused(
        403,
        "UnauthorizedOperation",
        "You are not authorized to perform this operation. User: arn:aws:iam::",
    );
    ask("us-west-2", "DescribeKeyPairs", &[("DryRun", "true")]).refused(403, "UnauthorizedOperation", "");
    ask("eu-west-1", "CreateKeyPair", &[("KeyName", "own")]).refused(
        403,
        "UnauthorizedOperation",
        "ec2:CreateKeyPair on resource: arn:aws:ec2:eu-west-1:123456789012:key-pair/own because no identity-based policy",
    );
    import(&rig, &eve, EAST, "own-1", ED25519).ok();
    import(&rig, &eve, EAST, "other", ED25519).ok();
    let material = BASE64.encode(ED25519.as_bytes());
    let kept = |value: &'static str| {
        let tag = [("TagSpecification.1.Tag.1.Key", "Keep"), ("TagSpecification.1.Tag.1.Value", value)];
        let base =
            [("KeyName", "own-2"), ("PublicKeyMaterial", &material), ("TagSpecification.1.ResourceType", "key-pair")];
        ask(EAST, "ImportKeyPair", &[&base[..], &tag].concat())
    };
    kept("no").refused(403, "UnauthorizedOperation", "ec2:CreateTags");
    kept("yes").ok();
    ask(EAST, "DeleteKeyPair", &[("KeyName", "own-1")]).ok();
    ask(EAST, "DeleteKeyPair", &[("KeyName", "own-2")]).refused(403, "UnauthorizedOperation", "ec2:DeleteKeyPair");
    ask(EAST, "DeleteKeyPair", &[("KeyName", "other")]).refused(403, "UnauthorizedOperation", "");
}

#[test]
fn regions_are_listed_as_the_account_has_them() {
    let mut seed = Seed::demo(7);
    seed.regions.retain(|region| region != "us-west-1");
    seed.regions.push("eu-south-1".to_owned());
    let rig = rig(seed);
    let ask = |parameters: &[(&str, &str)]| rig.ec2(&rig.ada(), EAST, "DescribeRegions", parameters);
    let regions = |reply: &Reply| reply.body.matches("<regionName>").count();
    let plain = ask(&[]).ok();
    assert_eq!(regions(&plain), 17);
    assert!(plain.body.contains("<regionEndpoint>ec2.eu-south-1.amazonaws.com</regionEndpoint><optInStatus>opted-in<"));
    assert!(!plain.body.contains("us-west-1"));
    let all = ask(&[("AllRegions", "true")]).ok();
    assert!(regions(&all) > 17 && all.body.contains("<optInStatus>not-opted-in</optInStatus>"));
    assert_eq!(regions(&ask(&[("RegionName.1", "us-east-2")]).ok()), 1);
    ask(&[("RegionName.1", "us-west-1")]).refused(400, "InvalidParameterValue", "Region not found: us-west-1");
    let opted = [("Filter.1.Name", "opt-in-status"), ("Filter.1.Value.1", "opted-in")];
    assert_eq!(ask(&opted).ok().text("regionName"), "eu-south-1");
    assert_eq!(Seed::demo(7).regions.len(), 17);
}

#[test]
fn faults_may_be_of_one_region() {
    let rig = demo();
    rig.sandbox.inject(Fault {
        region: Some("eu-west-1".to_owned()),
        ..Fault::next("DescribeKeyPairs", FaultKind::Throttle(503))
    });
    described(&rig, EAST, &[]).ok();
    described(&rig, "eu-west-1", &[]).refused(503, "RequestLimitExceeded", "");
    described(&rig, "eu-west-1", &[]).ok();
}
