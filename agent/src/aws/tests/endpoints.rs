//! Where calls may go.

use crate::aws::{Endpoint, EndpointRules, Error, Service};
use claviger::model::{Partition, Region};

fn region(text: &str) -> Region {
    text.parse().expect("a region")
}

fn rules(allow: &[&str]) -> EndpointRules {
    let allow: Vec<String> = allow.iter().map(|entry| (*entry).to_owned()).collect();
    EndpointRules::new(&allow, &[]).expect("rules")
}

fn shown(endpoint: &Endpoint) -> (String, String) {
    (endpoint.to_string(), endpoint.signing_region().to_string())
}

#[test]
fn sts_is_regional_and_iam_is_one_a_partition() {
    for (name, sts, iam, iam_region) in [
        ("eu-west-1", "sts.eu-west-1.amazonaws.com", "iam.amazonaws.com", "us-east-1"),
        ("us-east-1", "sts.us-east-1.amazonaws.com", "iam.amazonaws.com", "us-east-1"),
        ("cn-northwest-1", "sts.cn-northwest-1.amazonaws.com.cn", "iam.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("us-gov-east-1", "sts.us-gov-east-1.amazonaws.com", "iam.us-gov.amazonaws.com", "us-gov-west-1"),
        ("eusc-de-east-1", "sts.eusc-de-east-1.amazonaws.eu", "iam.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
        ("us-iso-west-1", "sts.us-iso-west-1.c2s.ic.gov", "iam.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"),
        ("us-isob-east-1", "sts.us-isob-east-1.sc2s.sgov.gov", "iam.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1"),
        ("eu-isoe-west-1", "sts.eu-isoe-west-1.cloud.adc-e.uk", "iam.eu-isoe-west-1.cloud.adc-e.uk", "eu-isoe-west-1"),
        (
            "us-isof-east-1",
            "sts.us-isof-east-1.csp.hci.ic.gov",
            "iam.us-isof-south-1.csp.hci.ic.gov",
            "us-isof-south-1",
        ),
    ] {
        let region = region(name);
        let endpoint = EndpointRules::default().sts(&region, None).expect("allowed");
        assert_eq!(shown(&endpoint), (format!("https://{sts}/"), name.to_owned()));
        let endpoint = EndpointRules::default().iam(Partition::of_region(&region), None).expect("allowed");
        assert_eq!(shown(&endpoint), (format!("https://{iam}/"), iam_region.to_owned()));
    }
}

#[test]
fn awss_other_endpoints_of_the_service_are_allowed_and_sign_for_their_region() {
    for (url, signing) in [
        ("https://sts.us-west-2.amazonaws.com", "us-west-2"),
        ("https://STS.us-west-2.AmazonAWS.com:443/", "us-west-2"),
        ("https://sts-fips.us-west-2.amazonaws.com", "us-west-2"),
        ("https://sts.amazonaws.com", "us-east-1"),
        ("https://vpce-0abc123-xyz.sts.eu-central-1.vpce.amazonaws.com", "eu-central-1"),
        ("https://sts.cn-north-1.amazonaws.com.cn", "cn-north-1"),
    ] {
        let endpoint = EndpointRules::default().sts(&region("eu-west-1"), Some(url)).expect(url);
        assert_eq!(endpoint.signing_region().as_str(), signing, "{url}");
    }
    let aws = Partition::by_id("aws").expect("aws");
    assert!(EndpointRules::default().iam(aws, Some("https://iam.us-gov.amazonaws.com")).is_ok());
}

#[test]
fn any_other_host_needs_an_entry() {
    for url in [
        "https://evil.example",
        "https://sts.us-east-1.amazonaws.com.evil.example",
        "https://evilamazonaws.com",
        "https://sts.us-east-1.evilamazonaws.com",
        "https://amazonaws.com",
        "https://us-east-1.amazonaws.com",
        "https://sts.us-east-1.amazonaws.com.",
        // Customers' own names under AWS's suffixes.
        "https://sts.s3.amazonaws.com",
        "https://sts.s3-us-west-2.amazonaws.com",
        "https://sts.s3.us-west-2.amazonaws.com",
        "https://sts.execute-api.us-east-1.amazonaws.com",
        "https://abc.execute-api.us-east-1.amazonaws.com",
        "https://ec2-1-2-3-4.compute-1.amazonaws.com",
        "https://vpce-1.vpce-svc-2.us-east-1.vpce.amazonaws.com",
        "https://vpce-1.sts.s3.vpce.amazonaws.com",
        // Another service, no TLS, another port, another path.
        "https://iam.us-east-1.amazonaws.com",
        "http://sts.us-east-1.amazonaws.com",
        "https://sts.us-east-1.amazonaws.com:8443",
        "https://sts.us-east-1.amazonaws.com/path",
        "http://127.0.0.1:4566",
        "http://localhost:4566",
        "http://[::1]:4566",
    ] {
        let error = EndpointRules::default().sts(&region("us-east-1"), Some(url)).expect_err(url);
        assert!(matches!(error, Error::EndpointNotAllowed { .. }) && !error.code_counts_as_sent(), "{url}: {error}");
    }
    let error = EndpointRules::default().sts(&region("us-east-1"), Some("http://127.0.0.1:4566")).expect_err("refused");
    assert_eq!(error.to_string(), "the endpoint http://127.0.0.1:4566 is neither AWS's nor in [endpoints] allow");
}

#[test]
fn an_entry_allows_its_scheme_host_and_port_alone() {
    let rules = rules(&["http://127.0.0.1:4566", "https://sts.corp.example", "http://[::1]:4566/"]);
    let here = region("eu-west-1");
    for url in
        ["http://127.0.0.1:4566", "http://127.0.0.1:4566/", "https://sts.corp.example:443/sts", "http://[::1]:4566"]
    {
        let endpoint = rules.sts(&here, Some(url)).expect(url);
        assert_eq!(endpoint.signing_region().as_str(), "eu-west-1");
    }
    for url in [
        "https://127.0.0.1:4566",
        "http://127.0.0.1:4567",
        "http://127.0.0.1",
        "http://127.0.0.2:4566",
        "http://localhost:4566",
        "http://sts.corp.example",
        "https://x.sts.corp.example",
        "https://sts.corp.example:444",
    ] {
        assert!(matches!(rules.sts(&here, Some(url)), Err(Error::EndpointNotAllowed { .. })), "{url}");
    }
    assert!(rules.sts(&here, None).is_ok());
}

#[test]
fn a_configured_endpoint_holds_for_all_but_a_profile_with_its_own() {
    let allow = ["http://127.0.0.1:1".to_owned(), "http://127.0.0.1:2".to_owned()];
    let rules = EndpointRules::new(
        &allow,
        &[(Service::Sts, Some("http://127.0.0.1:1")), (Service::Iam, Some("http://127.0.0.1:1"))],
    )
    .expect("rules");
    let aws = Partition::by_id("aws").expect("aws");
    assert_eq!(rules.sts(&region("eu-west-1"), None).expect("allowed").host(), "127.0.0.1:1");
    assert_eq!(rules.iam(aws, None).expect("allowed").host(), "127.0.0.1:1");
    assert_eq!(rules.sts(&region("eu-west-1"), Some("http://127.0.0.1:2")).expect("allowed").host(), "127.0.0.1:2");
    let unlisted = EndpointRules::new(&[], &[(Service::Sts, Some("http://127.0.0.1:1"))]).expect("rules");
    assert!(matches!(unlisted.sts(&region("eu-west-1"), None), Err(Error::EndpointNotAllowed { .. })));
}

#[test]
fn what_is_no_plain_url_is_refused() {
    let rules = rules(&["http://127.0.0.1:4566", "https://sts.corp.example"]);
    for url in [
        "",
        "sts.us-east-1.amazonaws.com",
        "127.0.0.1:4566",
        "ftp://127.0.0.1:4566",
        "file:///etc/passwd",
        "https://",
        "https://user@sts.corp.example",
        "https://user:word@sts.corp.example",
        "https://@sts.corp.example",
        "https://sts.corp.example@evil.example",
        "https://sts.corp.example?x=1",
        "https://sts.corp.example/?",
        "https://sts.corp.example#x",
        "https://sts.corp.example\\@evil.example",
        "https://sts.corp\n.example",
        "https://sts.corp.example ",
        "https://sts.corp.example:99999",
    ] {
        let result = rules.sts(&region("eu-west-1"), Some(url));
        assert!(matches!(result, Err(Error::EndpointInvalid { .. })), "{url:?}");
        assert!(EndpointRules::new(&[url.to_owned()], &[]).is_err(), "{url:?}");
    }
    assert!(EndpointRules::new(&["https://sts.corp.example/path".to_owned()], &[]).is_err());
}
