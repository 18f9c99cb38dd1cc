//! EC2's answers.

use super::{Desk, aws};
use crate::aws::fake::Play;
use crate::aws::{Endpoint, EndpointRules, Error, InstanceState, InstanceWanted, KeyPairType, Service, Tags};
use claviger::model::{InstanceId, KeyPairName};
use claviger::secret::SecretText;

fn at() -> Endpoint {
    let region = "eu-central-1".parse().expect("a region");
    EndpointRules::default().regional(Service::Ec2, &region, None).expect("AWS's own")
}

fn answer(action: &str, inner: &str) -> Play {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <{action}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>0123</requestId>{inner}</{action}Response>"
    );
    aws(200, &body)
}

fn refusal(status: u16, code: &str) -> Play {
    let body = format!(
        "<Response><Errors><Error><Code>{code}</Code><Message>as it is</Message></Error></Errors><RequestID>1</RequestID></Response>"
    );
    aws(status, &body)
}

fn name() -> KeyPairName {
    "web servers".parse().expect("a name")
}

const INSTANCE: &str = "<item><instanceId>i-0123456789abcdef0</instanceId><instanceState><code>16</code><name>running</name>\
    </instanceState><privateDnsName>ip-10-0-0-9.ec2.internal</privateDnsName><dnsName/><keyName>web servers</keyName>\
    <placement><availabilityZone>eu-central-1a</availabilityZone></placement><platform>windows</platform>\
    <subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId><privateIpAddress>10.0.0.9</privateIpAddress>\
    <tagSet><item><key>Name</key><value>web&#27;1</value></item></tagSet></item>";

#[tokio::test]
async fn instances_come_from_every_page_and_reservation() {
    let page = |rest: &str| {
        let reservation = format!("<item><instancesSet>{INSTANCE}</instancesSet></item>");
        answer("DescribeInstances", &format!("<reservationSet>{reservation}{reservation}</reservationSet>{rest}"))
    };
    let desk = Desk::playing([page("<nextToken>more</nextToken>"), page("<nextToken/>")]);
    let wanted = InstanceWanted { ids: Vec::new(), filters: vec![("key-name", vec!["web servers".to_owned()])] };
    let found = desk.edge.describe_instances(desk.ec2(&at()), &wanted).await.expect("instances");
    assert_eq!(found.len(), 4);
    let one = &found[0];
    assert_eq!((one.name.as_deref(), one.key_name.as_deref()), (Some("web?1"), Some("web servers")));
    assert_eq!((one.state, one.windows), (InstanceState::Running, true));
    assert_eq!((one.private_ip.as_deref(), one.public_ip.as_deref()), (Some("10.0.0.9"), None));
    assert_eq!((one.public_dns.as_deref(), one.vpc_id.as_deref()), (None, Some("vpc-1")));
    let seen = desk.http.seen();
    assert_eq!(
        (seen[0].form("Filter.1.Name"), seen[0].form("Filter.1.Value.1")),
        (Some("key-name"), Some("web servers"))
    );
    assert_eq!((seen[0].form("MaxResults"), seen[0].form("NextToken")), (Some("1000"), None));
    assert_eq!((seen[1].form("NextToken"), seen.len()), (Some("more"), 2));
    assert!(seen[0].url.starts_with("https://ec2.eu-central-1.amazonaws.com/"));

    let id: InstanceId = "i-0123456789abcdef0".parse().expect("an id");
    let desk = Desk::playing([refusal(400, "InvalidInstanceID.NotFound")]);
    let wanted = InstanceWanted { ids: vec![id], filters: Vec::new() };
    let error = desk.edge.describe_instances(desk.ec2(&at()), &wanted).await.expect_err("refused");
    assert!(error.is_refusal("InvalidInstanceID.NotFound"), "{error:?}");
    assert_eq!(
        (desk.http.seen()[0].form("InstanceId.1"), desk.http.seen()[0].form("MaxResults")),
        (Some("i-0123456789abcdef0"), None)
    );
}

#[tokio::test]
async fn five_thousand_key_pairs_come_in_one_answer_and_no_other_service_may_say_as_much() {
    let item = |number: usize| {
        format!(
            "<item><keyPairId>key-{number:017x}</keyPairId><keyName>pair {number}</keyName><keyType>rsa</keyType>\
             <keyFingerprint>{}</keyFingerprint><publicKey>ssh-rsa {}</publicKey><createTime>2026-11-22T00:00:00.000Z</createTime>\
             <tagSet><item><key>team</key><value/></item></tagSet></item>",
            "00:".repeat(20),
            "A".repeat(720)
        )
    };
    let inner: String = (0..5_000).map(item).collect();
    let desk = Desk::playing([answer("DescribeKeyPairs", &format!("<keySet>{inner}</keySet>"))]);
    let pairs = desk.edge.describe_key_pairs(desk.ec2(&at()), None, None).await.expect("key pairs");
    assert_eq!((pairs.len(), pairs[7].kind), (5_000, Some(KeyPairType::Rsa)));
    assert_eq!(
        (pairs[7].tags.get("team").map(String::as_str), pairs[7].created.map(|at| at.0)),
        (Some(""), Some(1_795_305_600_000))
    );

    let desk = Desk::playing([answer("DescribeKeyPairs", &format!("<keySet>{}{}</keySet>", item(1), item(12)))]);
    let name = "pair 1".parse().expect("a name");
    let pairs = desk.edge.describe_key_pairs(desk.ec2(&at()), Some(&name), None).await.expect("key pairs");
    assert_eq!(pairs.len(), 1, "a name is no pattern");

    let many = format!("<GetCallerIdentityResponse>{}</GetCallerIdentityResponse>", "<a/>".repeat(10_001));
    let desk = Desk::playing([aws(200, &many)]);
    let error = desk.edge.get_caller_identity(desk.by(), &desk.sts()).await.expect_err("too many");
    assert!(matches!(error, Error::BadAnswer { .. }), "{error:?}");
}

#[tokio::test]
async fn a_key_pair_is_made_once_and_imported_with_its_tags() {
    let tags = Tags::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())]);
    let made = "<keyPairId>key-1</keyPairId><keyName>web servers</keyName><keyFingerprint>f</keyFingerprint>";
    let desk = Desk::playing([
        refusal(503, "RequestLimitExceeded"),
        answer("CreateKeyPair", &format!("{made}<keyMaterial>-----BEGIN&#10;</keyMaterial>")),
    ]);
    let wanted = (&name(), KeyPairType::Ed25519);
    let created = desk.edge.create_key_pair(desk.ec2(&at()), wanted, &tags).await.expect("a pair");
    assert!(created.material.expose().starts_with("-----BEGIN") && created.id == "key-1");
    let seen = desk.http.seen();
    assert_eq!((seen.len(), seen[1].form("KeyType"), seen[1].form("KeyFormat")), (2, Some("ed25519"), Some("pem")));
    assert_eq!(seen[1].form("TagSpecification.1.ResourceType"), Some("key-pair"));
    assert_eq!(
        (seen[1].form("TagSpecification.1.Tag.1.Key"), seen[1].form("TagSpecification.1.Tag.2.Value")),
        (Some("a"), Some(""))
    );

    let desk = Desk::playing([refusal(500, "InternalError"), answer("CreateKeyPair", made)]);
    let error = desk.edge.create_key_pair(desk.ec2(&at()), wanted, &tags).await.err().expect("it may be done");
    assert!(error.may_be_done() && desk.http.seen().len() == 1);

    let desk = Desk::playing([answer("ImportKeyPair", made)]);
    let id = desk.edge.import_key_pair(desk.ec2(&at()), (&name(), "ssh-ed25519 AAAA x"), &Tags::new()).await;
    assert_eq!(id.expect("a pair"), "key-1");
    assert_eq!(desk.http.seen()[0].form("PublicKeyMaterial"), Some("c3NoLWVkMjU1MTkgQUFBQSB4"));

    for (code, allowed) in
        [("DryRunOperation", true), ("InvalidKeyPair.Duplicate", true), ("UnauthorizedOperation", false)]
    {
        let desk = Desk::playing([refusal(412, code)]);
        let tried = desk.edge.may_import_key_pair(desk.ec2(&at()), (&name(), "ssh-ed25519 AAAA x"), &tags).await;
        assert_eq!(tried.is_ok(), allowed, "{code}");
        assert_eq!(desk.http.seen()[0].form("DryRun"), Some("true"));
    }
}

#[tokio::test]
async fn a_password_is_there_or_not_yet() {
    let id: InstanceId = "i-0123456789abcdef0".parse().expect("an id");
    for (data, expected) in [("\r\nAQID\r\n", Some(vec![1, 2, 3])), ("", None), ("\r\n", None)] {
        let desk = Desk::playing([answer("GetPasswordData", &format!("<passwordData>{data}</passwordData>"))]);
        assert_eq!(desk.edge.password_data(desk.ec2(&at()), &id).await.expect("an answer"), expected);
    }
    let desk = Desk::playing([answer("GetPasswordData", "<passwordData>*</passwordData>")]);
    assert!(desk.edge.password_data(desk.ec2(&at()), &id).await.is_err());
}

#[tokio::test]
async fn regions_are_those_of_the_account() {
    let item = |name: &str| format!("<item><regionName>{name}</regionName></item>");
    let inner = format!("<regionInfo>{}{}</regionInfo>", item("eu-central-1"), item("us-east-1"));
    let desk = Desk::playing([answer("DescribeRegions", &inner)]);
    let regions = desk.edge.describe_regions(desk.ec2(&at())).await.expect("regions");
    assert_eq!(regions.iter().map(|region| region.as_str()).collect::<Vec<_>>(), ["eu-central-1", "us-east-1"]);
    let desk = Desk::playing([answer("DescribeRegions", &format!("<regionInfo>{}</regionInfo>", item("../evil")))]);
    assert!(desk.edge.describe_regions(desk.ec2(&at())).await.is_err());
}
