//! The AWS JSON protocol, version 1.1: flat objects out and in. Pure.

use super::query::{Answer, Parameters, Reading, Reply, like_an_id};
use super::xml::Element;
use super::{Error, http::HttpResponse};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// The type of its bodies.
pub(super) const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

impl Parameters<'_> {
    /// The body: an object of texts.
    pub(super) fn encode_json(&self) -> Zeroizing<Vec<u8>> {
        let object: Map<String, Value> =
            self.pairs().map(|(name, value)| (name.to_owned(), Value::String(value.to_owned()))).collect();
        Zeroizing::new(Value::Object(object).to_string().into_bytes())
    }
}

impl Reading<'_> {
    /// Reads an answer. Of a good one the members that are texts, numbers or truth values are kept.
    pub(super) fn read_json(self, response: &HttpResponse) -> Answer {
        let bad = |why| Error::BadAnswer { action: self.action, why };
        let status = response.status;
        let object: Option<Map<String, Value>> = serde_json::from_slice(&response.body).ok();
        let member = |name| object.as_ref().and_then(|object| object.get(name)?.as_str());
        if status != 200 {
            let code = response.header("x-amzn-errortype").or_else(|| member("__type")).or_else(|| member("code"));
            let message = member("message").or_else(|| member("Message")).unwrap_or_default();
            return match code.map(bare).filter(|code| !code.is_empty()) {
                Some(code) => Answer::Refused(self.refused(status, code, message)),
                None => {
                    Answer::Foreign(self.without_a_document(status).unwrap_or_else(|| bad("an error without a code")))
                }
            };
        }
        let Some(object) = &object else { return Answer::Foreign(bad("it is no JSON object")) };
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        let root = Element::flat(object.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))));
        let request_id = root.text("RequestId").or_else(|| response.header("x-amzn-requestid"));
        let request_id = request_id.filter(|id| like_an_id(id)).map(str::to_owned);
        Answer::Done(Reply::new(self.action, root, request_id))
    }
}

/// `NAME` of `namespace#NAME:http://…` (AWS JSON 1.1 protocol, "Operation error serialization").
fn bare(code: &str) -> &str {
    let code = code.rsplit('#').next().unwrap_or_default();
    code.split(':').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::bare;
    use crate::aws::http::HttpResponse;
    use crate::aws::query::{Answer, Parameters, Reading};
    use crate::aws::{Error, xml::ELEMENT_LIMIT};
    use ::http::HeaderMap;
    use zeroize::Zeroizing;

    fn read(status: u16, body: &str) -> Answer {
        let response =
            HttpResponse { status, headers: HeaderMap::new(), body: Zeroizing::new(body.as_bytes().to_vec()) };
        let action = "ec2-instance-connect:SendSSHPublicKey";
        Reading { action, host: "h", secrets: &["hidden"], elements: ELEMENT_LIMIT }.read_json(&response)
    }

    fn refused(status: u16, body: &str) -> Error {
        match read(status, body) {
            Answer::Refused(error) => error,
            Answer::Foreign(error) => panic!("foreign: {error}"),
            Answer::Done(_) => panic!("done"),
        }
    }

    #[test]
    fn texts_are_quoted_as_json_wants_it() {
        let body = Parameters::default().with("A", "x\"\\\n").with("B", "ö").encode_json();
        assert_eq!(body.as_slice(), r#"{"A":"x\"\\\n","B":"ö"}"#.as_bytes());
    }

    #[test]
    fn a_good_answer_keeps_what_is_flat() {
        let Answer::Done(reply) = read(200, r#"{"RequestId":"01-ab","Success":true,"N":7,"L":[1],"O":{},"Z":null}"#)
        else {
            panic!("not done")
        };
        let field = |name| reply.root().text(name);
        assert_eq!(
            (field("Success"), field("N"), reply.request_id.as_deref()),
            (Some("true"), Some("7"), Some("01-ab"))
        );
        assert_eq!((field("L"), field("O"), field("Z")), (None, None, None));
        for foreign in ["", "[]", "<html>", "{\"RequestId\":", "{} {}"] {
            assert!(matches!(read(200, foreign), Answer::Foreign(Error::BadAnswer { .. })), "{foreign}");
        }
    }

    #[test]
    fn errors_are_known_by_their_type_however_it_is_written() {
        for code in ["X", "a.b#X", "X:http://internal.amazon.com/coral/", "a#X:u", " X "] {
            assert_eq!(bare(code), "X");
        }
        for (body, wanted) in [
            (r#"{"__type":"AuthException","Message":"no"}"#, "AWS denied ec2-instance-connect:SendSSHPublicKey: no"),
            (
                r#"{"__type":"AccessDeniedException","message":"hidden"}"#,
                "AWS denied ec2-instance-connect:SendSSHPublicKey",
            ),
            (r#"{"__type":"c#ThrottlingException"}"#, "AWS is throttling ec2-instance-connect:SendSSHPublicKey"),
            (
                r#"{"__type":"EC2InstanceStateInvalidException","Message":"stopped"}"#,
                "AWS refused ec2-instance-connect:SendSSHPublicKey (EC2InstanceStateInvalid): stopped",
            ),
            (
                r#"{"__type":"InvalidArgsException","Message":"bad"}"#,
                "AWS finds a parameter of ec2-instance-connect:SendSSHPublicKey invalid: bad",
            ),
            (
                r#"{"__type":"ServiceException"}"#,
                "AWS failed at ec2-instance-connect:SendSSHPublicKey (status 400, ServiceException)",
            ),
        ] {
            assert_eq!(refused(400, body).to_string(), wanted);
        }
        for (status, body) in [(400, "{}"), (403, "<html>"), (400, "{\"__type\":\"\"}"), (302, "")] {
            assert!(matches!(read(status, body), Answer::Foreign(Error::BadAnswer { .. })), "{status} {body}");
        }
        assert!(matches!(read(503, "busy"), Answer::Foreign(Error::ServiceError { status: 503, .. })));
    }
}
