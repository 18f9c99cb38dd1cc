//! The control side over HTTP, under `/_sandbox/`. Never signed; only the server offers it.

use super::Fault;
use crate::reply::response;
use crate::sandbox::Sandbox;
use crate::world::{InstanceState, SeedInstance};
use bytes::Bytes;
use http::{Method, Request, Response};
use serde::Deserialize;
use serde_json::json;

/// The folder of the control side.
pub(crate) const PREFIX: &str = "/_sandbox/";

/// Moves the clock by so much, or to this distance from the real one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Clock {
    AdvanceMillis(i64),
    OffsetMillis(i64),
}

/// Puts an instance into another state, or says at which port its sshd stands.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InstanceChange {
    instance: String,
    state: Option<InstanceState>,
    ssh_port: Option<u16>,
}

/// Answers a request of the control side.
pub(crate) fn answer(sandbox: &Sandbox, request: &Request<Bytes>) -> Response<Bytes> {
    let name = request.uri().path().strip_prefix(PREFIX).unwrap_or_default();
    match (request.method(), name) {
        (&Method::GET, "state") => {
            let state = json!({
                "now_millis": sandbox.now_millis(),
                "calls": sandbox.calls(),
                "steps": sandbox.all_steps_used(),
                "reused": sandbox.reused(),
                "hanging": sandbox.hanging(),
                "faults": sandbox.faults(),
                "instances": sandbox.instances(),
            });
            json_reply(200, &state)
        }
        (&Method::GET, "history") => json_reply(200, &json!(sandbox.history())),
        (&Method::POST, "clock") => match serde_json::from_slice(request.body()) {
            Ok(clock) => {
                match clock {
                    Clock::AdvanceMillis(millis) => sandbox.advance_millis(millis),
                    Clock::OffsetMillis(millis) => sandbox.set_offset_millis(millis),
                }
                done()
            }
            Err(error) => junk(&error),
        },
        (&Method::POST, "consistency") => match serde_json::from_slice(request.body()) {
            Ok(consistency) => {
                sandbox.set_consistency(consistency);
                done()
            }
            Err(error) => junk(&error),
        },
        (&Method::POST, "faults") => match serde_json::from_slice::<Fault>(request.body()) {
            Ok(fault) => {
                sandbox.inject(fault);
                done()
            }
            Err(error) => junk(&error),
        },
        (&Method::DELETE, "faults") => {
            sandbox.clear_faults();
            done()
        }
        (&Method::GET, "pushed-keys") => {
            let pairs: Vec<_> = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).collect();
            let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_ref());
            match (value("instance"), value("user")) {
                (Some(instance), Some(user)) => {
                    let lines = sandbox.pushed_keys(instance, user).into_iter().map(|line| line + "\n");
                    response(200, "text/plain", lines.collect::<String>())
                }
                _ => json_reply(400, &json!({"error": "instance and user are wanted"})),
            }
        }
        (&Method::POST, "instances") => match serde_json::from_slice::<SeedInstance>(request.body()) {
            Ok(instance) => match sandbox.launch(&instance) {
                Ok(()) => done(),
                Err(invalid) => json_reply(400, &json!({"error": invalid.to_string()})),
            },
            Err(error) => junk(&error),
        },
        (&Method::POST, "instance") => match serde_json::from_slice::<InstanceChange>(request.body()) {
            Ok(change) => {
                let state = change.state.is_none_or(|state| sandbox.set_instance_state(&change.instance, state));
                let port = change.ssh_port.is_none_or(|port| sandbox.set_ssh_port(&change.instance, port));
                match state && port {
                    true => done(),
                    false => json_reply(400, &json!({"error": "there is no such instance"})),
                }
            }
            Err(error) => junk(&error),
        },
        (&Method::POST, "release") => {
            sandbox.release();
            done()
        }
        _ => json_reply(404, &json!({"error": "the control side has no such page"})),
    }
}

fn done() -> Response<Bytes> {
    json_reply(200, &json!({}))
}

fn junk(error: &serde_json::Error) -> Response<Bytes> {
    json_reply(400, &json!({"error": format!("line {} column {} is not as expected", error.line(), error.column())}))
}

fn json_reply(status: u16, value: &serde_json::Value) -> Response<Bytes> {
    response(status, "application/json", value.to_string())
}
