//! The canonical request, from the request as received.

use crate::reply::Refusal;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use http::Request;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

/// All but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a signature covers.
pub(super) struct SignedParts {
    method: String,
    path: String,
    query: String,
    headers: String,
    signed_headers: String,
    body_hash: String,
}

impl SignedParts {
    /// For a signature in the Authorization header.
    pub(super) fn of_header_request(request: &Request<Bytes>, signed_headers: &str) -> Result<Self, Refusal> {
        Self::of(request, signed_headers, canonical_query(&query_pairs(request)))
    }

    /// For a presigned URL: all of the query but the signature itself.
    pub(super) fn of_presigned_request(request: &Request<Bytes>, signed_headers: &str) -> Result<Self, Refusal> {
        let pairs: Vec<_> = query_pairs(request).into_iter().filter(|(name, _)| name != "X-Amz-Signature").collect();
        Self::of(request, signed_headers, canonical_query(&pairs))
    }

    fn of(request: &Request<Bytes>, signed_headers: &str, query: String) -> Result<Self, Refusal> {
        Ok(Self {
            method: request.method().as_str().to_owned(),
            path: canonical_path(request.uri().path()),
            query,
            headers: canonical_headers(request, signed_headers)?,
            signed_headers: signed_headers.to_owned(),
            body_hash: HEXLOWER.encode(&Sha256::digest(request.body())),
        })
    }

    pub(super) fn canonical_request(&self) -> String {
        let Self { method, path, query, headers, signed_headers, body_hash } = self;
        format!("{method}\n{path}\n{query}\n{headers}\n{signed_headers}\n{body_hash}")
    }
}

/// The decoded query. A plus sign is a plus sign here, not a space.
pub(super) fn query_pairs(request: &Request<Bytes>) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let query = request.uri().query().unwrap_or_default();
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

fn canonical_query(pairs: &[(String, String)]) -> String {
    let encode = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
    let mut pairs: Vec<_> = pairs.iter().map(|(name, value)| (encode(name), encode(value))).collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// Dot segments and doubled slashes removed, then encoded once more: every service but S3 signs so.
fn canonical_path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let encoded: Vec<_> = segments.iter().map(|segment| utf8_percent_encode(segment, RESERVED).to_string()).collect();
    let slash = if path.ends_with('/') && !encoded.is_empty() { "/" } else { "" };
    format!("/{}{slash}", encoded.join("/"))
}

fn canonical_headers(request: &Request<Bytes>, signed_headers: &str) -> Result<String, Refusal> {
    let names: Vec<&str> = signed_headers.split(';').collect();
    if !names.is_sorted() || names.iter().any(|name| name.is_empty() || name.chars().any(|c| c.is_ascii_uppercase())) {
        return Err(refused("SignedHeaders must be lower case and in order.".to_owned()));
    }
    if !names.contains(&"host") {
        return Err(refused("'Host' must be a 'SignedHeader' in the AWS Authorization.".to_owned()));
    }
    if let Some(name) =
        request.headers().keys().find(|name| name.as_str().starts_with("x-amz-") && !names.contains(&name.as_str()))
    {
        return Err(refused(format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.")));
    }
    let mut text = String::new();
    for name in names {
        let mut values = Vec::new();
        for value in request.headers().get_all(name) {
            let value = value.to_str().map_err(|_| refused(format!("Header '{name}' is not a text.")))?;
            values.push(value.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        if values.is_empty() && name == "host" {
            values.extend(request.uri().authority().map(ToString::to_string));
        }
        if values.is_empty() {
            return Err(refused(format!("Header '{name}' is signed but was not sent.")));
        }
        text.push_str(&format!("{name}:{}\n", values.join(",")));
    }
    Ok(text)
}

fn refused(message: String) -> Refusal {
    Refusal::new(403, "SignatureDoesNotMatch", message)
}

#[cfg(test)]
mod tests {
    use super::canonical_path;

    #[test]
    fn paths_are_normalised_and_encoded_twice() {
        for (path, canonical) in
            [("/", "/"), ("", "/"), ("//a", "/a"), ("/a/../b/./c/", "/b/c/"), ("/a%20b", "/a%2520b"), ("/..", "/")]
        {
            assert_eq!(canonical_path(path), canonical, "{path}");
        }
    }
}
