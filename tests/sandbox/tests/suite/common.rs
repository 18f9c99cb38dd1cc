//! A clock that tests move, and a client that signs with aws-sigv4: code that shares nothing with the double's.

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use claviger_sandbox::{Sandbox, Seed, code_at};
use data_encoding::BASE32_NOPAD;
use http::{Request, Response};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

/// 2026-03-01T12:00:10Z, ten seconds into a step.
pub(crate) const NOON: i64 = 1_772_366_410_000;

/// A double with the clock it runs by.
pub(crate) struct Rig {
    pub(crate) sandbox: Sandbox,
    pub(crate) clock: Arc<AtomicI64>,
    pub(crate) seed: Seed,
}

/// Credentials to sign with.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
}

/// A reply, read.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
}

pub(crate) fn demo() -> Rig {
    rig(Seed::demo(7))
}

pub(crate) fn rig(seed: Seed) -> Rig {
    let clock = Arc::new(AtomicI64::new(NOON));
    let shared = clock.clone();
    let sandbox = Sandbox::new(Box::new(move || shared.load(Ordering::SeqCst)), &seed).unwrap();
    Rig { sandbox, clock, seed }
}

impl Rig {
    pub(crate) fn now(&self) -> i64 {
        self.clock.load(Ordering::SeqCst)
    }

    pub(crate) fn wait(&self, seconds: i64) {
        self.clock.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    /// The first user's access key.
    pub(crate) fn ada(&self) -> Keys {
        let key = &self.seed.users[0].access_keys[0];
        Keys { id: key.id.clone(), secret: key.secret.clone(), token: None }
    }

    pub(crate) fn serial(&self) -> String {
        self.seed.mfa_serial("ada-phone")
    }

    /// The code of ada-phone at so many seconds from now.
    pub(crate) fn code(&self, seconds: i64) -> String {
        let seed = BASE32_NOPAD.decode(self.seed.users[0].mfa_devices[0].seed.as_bytes()).unwrap();
        code_at(&seed, self.now() + seconds * 1000)
    }

    pub(crate) fn sts(&self, keys: &Keys, action: &str, parameters: &[(&str, &str)]) -> Reply {
        self.call(keys, "sts", action, parameters)
    }

    pub(crate) fn iam(&self, keys: &Keys, action: &str, parameters: &[(&str, &str)]) -> Reply {
        self.call(keys, "iam", action, parameters)
    }

    pub(crate) fn ec2(&self, keys: &Keys, region: &str, action: &str, parameters: &[(&str, &str)]) -> Reply {
        read(self.sandbox.handle(signed(keys, "ec2", region, self.now(), form("ec2", action, parameters))))
    }

    fn call(&self, keys: &Keys, service: &str, action: &str, parameters: &[(&str, &str)]) -> Reply {
        read(self.sandbox.handle(signed(keys, service, "us-east-1", self.now(), form(service, action, parameters))))
    }

    /// A session of the first user, with MFA where a code is given.
    pub(crate) fn session(&self, code: Option<&str>) -> Keys {
        let serial = self.serial();
        let parameters =
            code.map(|code| vec![("SerialNumber", serial.as_str()), ("TokenCode", code)]).unwrap_or_default();
        self.sts(&self.ada(), "GetSessionToken", &parameters).ok().keys()
    }

    /// A role assumed by these keys; more parameters as given.
    pub(crate) fn assume(&self, keys: &Keys, role: &str, more: &[(&str, &str)]) -> Reply {
        let arn = format!("arn:aws:iam::{}:role/{role}", self.seed.account);
        let mut parameters = vec![("RoleArn", arn.as_str()), ("RoleSessionName", "test")];
        parameters.extend_from_slice(more);
        self.sts(keys, "AssumeRole", &parameters)
    }
}

impl Reply {
    /// The text of the first element of this name.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.find(name).unwrap_or_else(|| panic!("no {name} in {}", self.body))
    }

    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        let (_, rest) = self.body.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.body);
        self
    }

    /// Asserts status, code and a part of the message.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str, message: &str) {
        assert_eq!((self.status, self.find("Code")), (status, Some(code)), "{}", self.body);
        assert!(self.text("Message").contains(message), "{}", self.body);
    }

    pub(crate) fn keys(&self) -> Keys {
        Keys {
            id: self.text("AccessKeyId").to_owned(),
            secret: self.text("SecretAccessKey").to_owned(),
            token: Some(self.text("SessionToken").to_owned()),
        }
    }
}

pub(crate) fn read(response: Response<Bytes>) -> Reply {
    Reply { status: response.status().as_u16(), body: String::from_utf8(response.body().to_vec()).unwrap() }
}

/// An unsigned form request, the way every AWS client sends it.
pub(crate) fn form(service: &str, action: &str, parameters: &[(&str, &str)]) -> Request<Bytes> {
    let version = match service {
        "ec2" => "2016-11-15",
        "iam" => "2010-05-08",
        _ => "2011-06-15",
    };
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.append_pair("Action", action).append_pair("Version", version).extend_pairs(parameters);
    Request::post("/")
        .header("host", "127.0.0.1:4000")
        .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
        .body(Bytes::from(body.finish()))
        .unwrap()
}

/// The request with a signature made at `millis`.
pub(crate) fn signed(keys: &Keys, service: &str, region: &str, millis: i64, request: Request<Bytes>) -> Request<Bytes> {
    sign_with(keys, service, region, millis, request, SigningSettings::default())
}

pub(crate) fn sign_with(
    keys: &Keys,
    service: &str,
    region: &str,
    millis: i64,
    mut request: Request<Bytes>,
    settings: SigningSettings,
) -> Request<Bytes> {
    let identity = Credentials::new(&keys.id, &keys.secret, keys.token.clone(), None, "test").into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap()))
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let host = request.headers()["host"].to_str().unwrap();
    let uri = format!("http://{host}{}", request.uri());
    let headers = request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    let signable =
        SignableRequest::new(request.method().as_str(), uri, headers, SignableBody::Bytes(request.body())).unwrap();
    let (instructions, _) = sign(signable, &parameters).unwrap().into_parts();
    instructions.apply_to_request_http1x(&mut request);
    request
}
