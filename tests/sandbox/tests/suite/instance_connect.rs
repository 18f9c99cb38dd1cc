//! EC2 Instance Connect: what may be pushed, to whom, and for how long.

use crate::common::{Keys, Rig, demo, rig, signed};
use bytes::Bytes;
use claviger_sandbox::{Fault, FaultKind, InstanceState, Seed, SeedInstance, SeedUser};
use http::Request;
use serde_json::{Value, json};

const EAST: &str = "us-east-1";
const WEB: &str = "i-0a11ce0000000001a";
const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq3v+8J4+/ATyjxOyQKIDdMBuVFAAUBjoTh";

fn request(target: &str, body: impl Into<Bytes>) -> Request<Bytes> {
    Request::post("/")
        .header("host", "127.0.0.1:4000")
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", target)
        .body(body.into())
        .unwrap()
}

fn send(rig: &Rig, keys: &Keys, request: Request<Bytes>) -> (u16, Value) {
    let reply = rig.sandbox.handle(signed(keys, "ec2-instance-connect", EAST, rig.now(), request));
    assert_eq!(reply.headers()["content-type"], "application/x-amz-json-1.1");
    (reply.status().as_u16(), serde_json::from_slice(reply.body()).unwrap())
}

fn push(rig: &Rig, body: Value) -> (u16, Value) {
    send(rig, &rig.ada(), request("AWSEC2InstanceConnectService.SendSSHPublicKey", body.to_string()))
}

fn body() -> Value {
    json!({"InstanceId": WEB, "InstanceOSUser": "ada", "SSHPublicKey": ED25519})
}

fn with(name: &str, value: Value) -> Value {
    let mut body = body();
    body[name] = value;
    body
}

#[track_caller]
fn refused((status, reply): (u16, Value), code: &str, message: &str) {
    assert_eq!((status, reply["__type"].as_str()), (400, Some(code)), "{reply}");
    assert!(reply["Message"].as_str().unwrap().contains(message), "{reply}");
}

#[test]
fn a_pushed_key_lives_a_minute() {
    let rig = demo();
    let pushed = || rig.sandbox.pushed_keys(WEB, "ada");
    assert!(pushed().is_empty());
    let (status, reply) = push(&rig, body());
    assert_eq!((status, &reply["Success"]), (200, &json!(true)));
    assert_eq!(reply["RequestId"].as_str().unwrap(), rig.sandbox.history()[0].request_id);
    assert_eq!(rig.sandbox.calls_of("SendSSHPublicKey").calls, 1);
    assert_eq!(pushed(), [format!("{ED25519} ada")]);
    assert!(rig.sandbox.pushed_keys(WEB, "root").is_empty());
    assert!(rig.sandbox.pushed_keys("i-0a11ce0000000003c", "ada").is_empty());
    rig.wait(30);
    push(&rig, body());
    rig.wait(29);
    assert_eq!(pushed().len(), 2);
    rig.wait(1);
    assert_eq!(pushed().len(), 1);
    rig.sandbox.advance_millis(29_999);
    assert_eq!(pushed().len(), 1);
    rig.sandbox.advance_millis(1);
    assert!(pushed().is_empty());
}

#[test]
fn parameters_are_checked() {
    let rig = demo();
    let pattern = "Member must satisfy regular expression pattern: ^i-[a-f0-9]+$";
    for id in ["mi-0a11ce0000000001a", "web-1-is-long", "i-0A11CE0000000001A"] {
        refused(push(&rig, with("InstanceId", json!(id))), "InvalidArgsException", pattern);
    }
    refused(push(&rig, with("InstanceId", json!("i-1234567"))), "InvalidArgsException", "greater than or equal to 10");
    refused(push(&rig, with("InstanceId", Value::Null)), "InvalidArgsException", "'instanceId'");
    refused(
        push(&rig, with("InstanceOSUser", json!("u".repeat(33)))),
        "InvalidArgsException",
        "less than or equal to 32",
    );
    for user in ["", "-x", "a b", "123", "é"] {
        refused(push(&rig, with("InstanceOSUser", json!(user))), "InvalidArgsException", "'instanceOSUser'");
    }
    for user in ["ec2-user", "_apt", "machine$", "a.b@c", "1a", &"u".repeat(32)] {
        assert_eq!(push(&rig, with("InstanceOSUser", json!(user))).0, 200, "{user}");
    }
    refused(
        push(&rig, with("SSHPublicKey", json!(&ED25519[..79]))),
        "InvalidArgsException",
        "greater than or equal to 80",
    );
    let long = format!("{ED25519} {}", "x".repeat(4096));
    refused(push(&rig, with("SSHPublicKey", json!(long))), "InvalidArgsException", "less than or equal to 4096");
    refused(push(&rig, with("AvailabilityZone", json!("us-east-1b"))), "InvalidArgsException", "Availability Zone");
    assert_eq!(push(&rig, with("AvailabilityZone", json!("us-east-1a"))).0, 200);
}

/// A public line of ssh-keygen.
fn made(kind: &str, bits: &str) -> String {
    let folder = std::env::temp_dir().join(format!("claviger-sandbox-{}-push-{kind}-{bits}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let key = folder.join("key");
    let words = ["-q", "-t", kind, "-b", bits, "-N", "", "-C", "somebody", "-f"];
    assert!(std::process::Command::new("ssh-keygen").args(words).arg(&key).status().unwrap().success());
    let line = std::fs::read_to_string(folder.join("key.pub")).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    line.trim().to_owned()
}

#[test]
fn only_rsa_and_ed25519_are_pushed() {
    let rig = demo();
    for (kind, bits) in [("rsa", "2048"), ("rsa", "3072"), ("rsa", "4096"), ("ed25519", "256")] {
        assert_eq!(push(&rig, with("SSHPublicKey", json!(made(kind, bits)))).0, 200, "{kind} {bits}");
    }
    // As PROTOCOL.u2f has it, with RFC 8032's point.
    let sk = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAINdamAGCsQq3v+8J4+/ATyjxOyQKIDdMBuVFAAUBjoThAAAABHNzaDo=";
    for line in [sk, &made("ecdsa", "256"), &made("rsa", "1024"), &"junk ".repeat(20)] {
        refused(push(&rig, with("SSHPublicKey", json!(line))), "InvalidArgsException", "SSH Public key is invalid");
    }
}

#[test]
fn the_instance_must_be_there_and_running() {
    let rig = demo();
    refused(push(&rig, with("InstanceId", json!("i-0a11ce0000000009f"))), "EC2InstanceNotFoundException", "not found");
    refused(
        push(&rig, with("InstanceId", json!("i-0a11ce0000000002b"))),
        "EC2InstanceStateInvalidException",
        "not in a valid state",
    );
    rig.sandbox.set_instance_state("i-0a11ce0000000002b", InstanceState::Running);
    assert_eq!(push(&rig, with("InstanceId", json!("i-0a11ce0000000002b"))).0, 200);
    rig.sandbox.set_instance_state(WEB, InstanceState::Stopping);
    refused(push(&rig, body()), "EC2InstanceStateInvalidException", "");
}

#[test]
fn it_speaks_json_in_its_own_words() {
    let rig = demo();
    let target = "AWSEC2InstanceConnectService.SendSSHPublicKey";
    let ask = |keys: &Keys, request: Request<Bytes>| send(&rig, keys, request);
    assert_eq!(ask(&rig.ada(), request(target, body().to_string())).0, 200);
    for junk in ["", "[]", "{\"InstanceId\": {}}", "{"] {
        refused(ask(&rig.ada(), request(target, junk)), "SerializationException", "");
    }
    let other = request("AWSEC2InstanceConnectService.OpenTunnel", body().to_string());
    refused(ask(&rig.ada(), other), "UnknownOperationException", "");
    let mut plain = request(target, body().to_string());
    plain.headers_mut().remove("x-amz-target");
    refused(ask(&rig.ada(), plain), "UnknownOperationException", "");
    let wrong = Keys { secret: "junk".to_owned(), ..rig.ada() };
    refused(ask(&wrong, request(target, body().to_string())), "InvalidSignatureException", "does not match");
    let unknown = Keys { id: "AKIAAAAAAAAAAAAAAAAA".to_owned(), ..rig.ada() };
    refused(ask(&unknown, request(target, body().to_string())), "UnrecognizedClientException", "token");
    rig.sandbox.inject(Fault::next("SendSSHPublicKey", FaultKind::Throttle(400)));
    refused(push(&rig, body()), "ThrottlingException", "Rate exceeded");
    let session = rig.session(None);
    rig.wait(43_201);
    refused(ask(&session, request(target, body().to_string())), "ExpiredTokenException", "expired");
}

#[test]
fn permission_is_by_instance_and_user() {
    let statement = json!({
        "Effect": "Allow", "Action": "ec2-instance-connect:SendSSHPublicKey",
        "Resource": "arn:aws:ec2:us-east-1:123456789012:instance/*",
        "Condition": {"StringEquals": {"ec2:osuser": "eve", "aws:ResourceTag/Name": "open"}}
    });
    let user =
        SeedUser::named("eve").with_access_key("AKIAEVEEVEEVEEVEEVEE", "secret-of-nobody").with_policy(statement);
    let seed = Seed::empty("123456789012")
        .with_user(user)
        .with_instance(SeedInstance::linux(EAST, "i-0000000a", "10.0.0.1").named("open"))
        .with_instance(SeedInstance::linux(EAST, "i-0000000b", "10.0.0.2").named("shut"));
    let rig = rig(seed);
    let ask =
        |id: &str, user: &str| push(&rig, json!({"InstanceId": id, "InstanceOSUser": user, "SSHPublicKey": ED25519}));
    assert_eq!(ask("i-0000000a", "eve").0, 200);
    let resource =
        "ec2-instance-connect:SendSSHPublicKey on resource: arn:aws:ec2:us-east-1:123456789012:instance/i-0000000a";
    refused(ask("i-0000000a", "root"), "AccessDeniedException", resource);
    refused(ask("i-0000000b", "eve"), "AccessDeniedException", "");
    refused(ask("i-0000000c", "eve"), "AccessDeniedException", "");
}
