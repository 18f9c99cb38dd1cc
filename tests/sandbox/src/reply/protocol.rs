//! What tells the services apart: how each wraps its replies, and which words it has for what all of them refuse.

use super::{Refusal, Xml, response};
use bytes::Bytes;
use http::{Request, Response};
use serde_json::json;

const XML_TYPE: &str = "text/xml;charset=UTF-8";
const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// A service of the double.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Ec2,
    Iam,
    InstanceConnect,
    Sts,
}

impl Service {
    /// By the name in a signature's scope.
    pub(crate) fn by_name(name: &str) -> Option<Self> {
        match name {
            "ec2" => Some(Self::Ec2),
            "ec2-instance-connect" => Some(Self::InstanceConnect),
            "iam" => Some(Self::Iam),
            "sts" => Some(Self::Sts),
            _ => None,
        }
    }

    /// The service of a request whose signature cannot be read.
    pub(crate) fn guess(request: &Request<Bytes>, version: Option<&str>) -> Self {
        if request.headers().contains_key("x-amz-target") {
            return Self::InstanceConnect;
        }
        [Self::Ec2, Self::Iam].into_iter().find(|service| version == Some(service.version())).unwrap_or(Self::Sts)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::Iam => "iam",
            Self::InstanceConnect => "ec2-instance-connect",
            Self::Sts => "sts",
        }
    }

    pub(crate) fn version(self) -> &'static str {
        match self {
            Self::Ec2 => "2016-11-15",
            Self::Iam => "2010-05-08",
            Self::InstanceConnect => "2018-04-02",
            Self::Sts => "2011-06-15",
        }
    }

    /// Whether its endpoints are of a region each, which an account may have disabled.
    pub(crate) fn is_of_regions(self) -> bool {
        matches!(self, Self::Ec2 | Self::InstanceConnect)
    }

    fn namespace(self) -> String {
        let scheme = if self == Self::Ec2 { "http" } else { "https" };
        format!("{scheme}://{}.amazonaws.com/doc/{}/", self.name(), self.version())
    }
}

/// The reply to an action that was done; `result` is None for those that AWS answers without one.
pub(crate) fn success(service: Service, action: &str, result: Option<Xml>, request_id: &str) -> Response<Bytes> {
    let namespace = service.namespace();
    let inside = result.map(Xml::into_text);
    match service {
        Service::Ec2 => {
            let inside = inside.unwrap_or_else(|| "<return>true</return>".to_owned());
            let head =
                format!("{DECLARATION}<{action}Response xmlns=\"{namespace}\"><requestId>{request_id}</requestId>");
            response(200, XML_TYPE, format!("{head}{inside}</{action}Response>"))
        }
        // Its actions answer nothing else.
        Service::InstanceConnect => json_reply(200, &json!({"RequestId": request_id, "Success": true})),
        Service::Iam | Service::Sts => {
            let inside = inside.map(|xml| format!("<{action}Result>{xml}</{action}Result>")).unwrap_or_default();
            let metadata = format!("<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>");
            let body = format!("<{action}Response xmlns=\"{namespace}\">{inside}{metadata}</{action}Response>\n");
            response(200, "text/xml", body)
        }
    }
}

/// The reply to one that was refused, in words that the service has.
pub(crate) fn failure(service: Service, refusal: &Refusal, request_id: &str) -> Response<Bytes> {
    let mut xml = Xml::default();
    match service {
        Service::Ec2 => {
            xml.nest("Response", |xml| {
                xml.nest("Errors", |xml| {
                    xml.nest("Error", |xml| {
                        xml.text("Code", &refusal.code).text("Message", &refusal.message);
                    });
                });
                xml.text("RequestID", request_id);
            });
            response(refusal.status, XML_TYPE, format!("{DECLARATION}{}", xml.into_text()))
        }
        // The error model of this service writes Message, the layer before it message; clients read both.
        Service::InstanceConnect => {
            json_reply(refusal.status, &json!({"__type": refusal.code, "Message": refusal.message}))
        }
        Service::Iam | Service::Sts => {
            xml.nest("Error", |xml| {
                xml.text("Type", if refusal.status < 500 { "Sender" } else { "Receiver" });
                xml.text("Code", &refusal.code);
                xml.text("Message", &refusal.message);
            });
            xml.text("RequestId", request_id);
            let body =
                format!("<ErrorResponse xmlns=\"{}\">{}</ErrorResponse>\n", service.namespace(), xml.into_text());
            response(refusal.status, "text/xml", body)
        }
    }
}

fn json_reply(status: u16, value: &serde_json::Value) -> Response<Bytes> {
    response(status, "application/x-amz-json-1.1", value.to_string())
}

impl Refusal {
    /// What all services refuse, as this one says it (EC2 API reference, error codes; AWS JSON services, common errors).
    pub(crate) fn worded(self, service: Service) -> Self {
        match service {
            Service::Ec2 => self.worded_by_ec2(),
            Service::InstanceConnect => self.worded_by_json(),
            Service::Iam | Service::Sts => self,
        }
    }

    fn worded_by_ec2(self) -> Self {
        let late =
            self.message.starts_with("Signature expired") || self.message.starts_with("Signature not yet current");
        match self.code.as_ref() {
            "ExpiredToken" => Self::new(400, "RequestExpired", "Request has expired."),
            "SignatureDoesNotMatch" if late => Self::new(400, "RequestExpired", "Request has expired."),
            "IncompleteSignature" | "InvalidClientTokenId" | "SignatureDoesNotMatch" => {
                Self::new(401, "AuthFailure", "AWS was not able to validate the provided access credentials")
            }
            "MissingAuthenticationToken" => {
                Self::new(400, "MissingParameter", "The request must contain the parameter AWSAccessKeyId")
            }
            "MalformedInput" => Self { code: "InvalidParameterValue".into(), ..self },
            "ServiceUnavailable" => Self::new(503, "RequestLimitExceeded", "Request limit exceeded."),
            _ => self,
        }
    }

    fn worded_by_json(self) -> Self {
        let code = match self.code.as_ref() {
            "AccessDenied" => "AccessDeniedException",
            "ExpiredToken" => "ExpiredTokenException",
            "IncompleteSignature" => "IncompleteSignatureException",
            "InvalidAction" | "MissingAction" => "UnknownOperationException",
            "InvalidClientTokenId" => "UnrecognizedClientException",
            "MalformedQueryString" => "SerializationException",
            "MissingAuthenticationToken" => "MissingAuthenticationTokenException",
            "ServiceUnavailable" => return Self { code: "ServiceUnavailableException".into(), ..self },
            "SignatureDoesNotMatch" => "InvalidSignatureException",
            "Throttling" => return Self { code: "ThrottlingException".into(), ..self },
            "ValidationError" => "InvalidArgsException",
            _ => return self,
        };
        Self { status: 400, code: code.into(), ..self }
    }
}
