//! What makes two requests the same session.

use super::base::Base;
use super::plan::{Call, Mfa, Plan, RoleRequest};
use sha2::{Digest, Sha256};

/// A digest of everything that changes the answer: the access key or source, the devices, and for every call up to this one
/// the endpoint, duration, role, session name, external id, policies, tags and source identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(pub [u8; 32]);

impl SessionKey {
    /// The key of the session that the plan's step `index` obtains. The profile's name is not in it: two profiles
    /// that ask the same of STS share the session.
    pub fn of(plan: &Plan, index: usize) -> Self {
        let mut digest = Fields(Sha256::new());
        match &plan.base {
            Base::AccessKey(name) => digest.text(name.as_str()),
            Base::Source(source) => digest.list("source", source.identity().iter().map(String::as_str)),
        }
        match &plan.mfa {
            Mfa::None => digest.text("none"),
            Mfa::Held(serials) => digest.list("held", serials.iter().map(|serial| serial.as_str())),
            Mfa::Typed(serial) => digest.list("typed", [serial.as_str()]),
        }
        for step in plan.steps.iter().take(index.saturating_add(1)) {
            // A source is not called at an endpoint of STS: what it gives is the same for every region.
            if step.call == Call::Source {
                digest.text("source");
                continue;
            }
            digest.text(step.endpoint.url().as_str());
            digest.text(step.endpoint.signing_region().as_str());
            digest.text(&step.seconds.to_string());
            digest.text(if step.with_code { "code" } else { "" });
            match &step.call {
                Call::SessionToken => digest.text("GetSessionToken"),
                Call::AssumeRole(request) => digest.role(request),
                Call::Source => {}
            }
        }
        Self(digest.0.finalize().into())
    }
}

/// Length-prefixed, so that no two lists of fields have the same bytes.
struct Fields(Sha256);

impl Fields {
    fn text(&mut self, text: &str) {
        self.0.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.update(text.as_bytes());
    }

    fn list<'a>(&mut self, name: &str, items: impl IntoIterator<Item = &'a str>) {
        self.text(name);
        for item in items {
            self.text("item");
            self.text(item);
        }
        self.text("end");
    }

    fn role(&mut self, request: &RoleRequest) {
        self.text("AssumeRole");
        self.text(request.role.as_str());
        self.text(&request.session_name);
        self.list("external id", request.external_id.as_deref());
        self.list("policy", request.policy.as_deref());
        self.list("policy arns", request.policy_arns.iter().map(|arn| arn.as_str()));
        self.list("tags", request.tags.iter().flat_map(|(key, value)| [key.as_str(), value.as_str()]));
        self.list("transitive", request.transitive_tag_keys.iter().map(String::as_str));
        self.list("source identity", request.source_identity.as_deref());
    }
}
