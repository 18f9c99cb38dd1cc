//! The container endpoint of ECS and EKS Pod Identity (AWS SDKs reference, container credential provider).

use super::answer;
use super::error::{Error, Kind};
use super::rules::ContainerPlace;
use super::{CredentialSource, SourceCredentials};
use crate::aws::{ANSWER_LIMIT, Http, HttpError, HttpRequest, HttpResponse, NetworkFault};
use crate::world::{BoxFuture, Clock, World};
use http::Method;
use std::io;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Milliseconds for the answer: what botocore gives it. It lies on this machine's link.
const ANSWER_MILLIS: u64 = 2_000;
/// The longest token file: a token of EKS has about 1 KiB.
const TOKEN_LIMIT: u64 = 16 * 1024;

/// The endpoint that config.toml names.
pub(super) struct Container {
    world: World,
    http: Arc<dyn Http>,
    place: ContainerPlace,
}

impl Container {
    pub(super) fn new(world: World, http: Arc<dyn Http>, place: ContainerPlace) -> Self {
        Self { world, http, place }
    }

    async fn ask(&self) -> Result<SourceCredentials, Error> {
        let mut headers = vec![("accept", Zeroizing::new("application/json".to_owned()))];
        if let Some(file) = &self.place.token_file {
            headers.push(("authorization", self.token(file)?));
        }
        let url = self.place.url.clone();
        let request =
            HttpRequest { method: Method::GET, url, headers, body: Zeroizing::default(), answer_limit: ANSWER_LIMIT };
        let answer = within(&*self.world.clock, ANSWER_MILLIS, self.http.send(request)).await;
        let answer = answer.map_err(|fault| Error::Unreachable(Kind::Container, fault))?;
        match answer.status {
            200 => answer::answered(Kind::Container, &answer.body, "the container's role"),
            status => Err(Error::Refused(Kind::Container, status)),
        }
    }

    /// Read for each request: EKS replaces it. The line end that an editor leaves is no part of it.
    fn token(&self, file: &Path) -> Result<Zeroizing<String>, Error> {
        let read = self.world.disk.read_linked(file, TOKEN_LIMIT).map_err(Error::TokenFile)?;
        let bytes = Zeroizing::new(read.ok_or_else(|| Error::TokenFile(io::ErrorKind::NotFound.into()))?);
        let text = std::str::from_utf8(&bytes).unwrap_or_default().trim_end_matches(['\r', '\n']);
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(Error::TokenFile(io::ErrorKind::InvalidData.into()));
        }
        Ok(Zeroizing::new(text.to_owned()))
    }
}

impl CredentialSource for Container {
    fn fetch(&self) -> BoxFuture<'_, Result<SourceCredentials, Error>> {
        Box::pin(self.ask())
    }
}

/// An exchange that ends after so many milliseconds.
pub(super) async fn within(
    clock: &dyn Clock,
    millis: u64,
    exchange: BoxFuture<'_, Result<HttpResponse, HttpError>>,
) -> Result<HttpResponse, NetworkFault> {
    let deadline = clock.boot().plus_millis(millis);
    tokio::select! {
        biased;
        answer = exchange => answer.map_err(|error| match error {
            HttpError::NotSent(fault) | HttpError::Unknown(fault) => fault,
        }),
        () = clock.sleep_until(deadline) => Err(NetworkFault::TimedOut),
    }
}

#[cfg(test)]
mod tests {
    use super::Container;
    use crate::aws::fake::{Play, ReplayHttp};
    use crate::aws::{HttpError, NetworkFault};
    use crate::source::rules::ContainerPlace;
    use crate::source::{CredentialSource, Error};
    use crate::testing::{FakeClock, MemoryDisk, world};
    use crate::world::{Clock, WallTime, World};
    use std::path::PathBuf;
    use std::sync::Arc;

    const BODY: &str = r#"{"AccessKeyId":"ASIAEXAMPLE000000001","SecretAccessKey":"s","Token":"t","Expiration":"2026-11-22T01:00:00Z"}"#;

    fn container(http: Arc<ReplayHttp>, world: World, token: bool) -> Container {
        let url = "http://169.254.170.23/v1/credentials".parse().unwrap();
        Container::new(world, http, ContainerPlace { url, token_file: token.then(|| PathBuf::from("/token")) })
    }

    fn machine(token: Option<&[u8]>) -> (World, Arc<FakeClock>) {
        let clock = FakeClock::at(WallTime(0));
        let files = token.map(|bytes| (PathBuf::from("/token"), bytes.to_vec())).into_iter().collect();
        (World { disk: Arc::new(MemoryDisk::with(files)), ..world(clock.clone(), 1) }, clock)
    }

    #[tokio::test]
    async fn the_token_is_read_anew_and_sent_as_it_is() {
        let http = ReplayHttp::playing([Play::answer(200, BODY)]);
        let (world, _) = machine(Some(b"eyJ.token\n"));
        assert!(container(http.clone(), world, true).fetch().await.is_ok());
        let seen = http.seen();
        assert_eq!(seen[0].url, "http://169.254.170.23/v1/credentials");
        assert_eq!(seen[0].header("authorization"), Some("eyJ.token"));
    }

    #[tokio::test]
    async fn without_a_token_nothing_is_sent() {
        for token in [None, Some(&b""[..]), Some(b"a\r\nx: y"), Some(b"\xff"), Some(&[b'x'; 20_000])] {
            let http = ReplayHttp::playing([Play::answer(200, BODY)]);
            let (world, _) = machine(token);
            assert!(matches!(container(http.clone(), world, true).fetch().await, Err(Error::TokenFile(_))));
            assert_eq!(http.seen().len(), 0);
        }
    }

    #[tokio::test]
    async fn no_answer_ends_after_two_seconds() {
        let (world, clock) = machine(None);
        let before = clock.boot();
        let error = container(ReplayHttp::playing([Play::Hang]), world, false).fetch().await.err();
        assert!(matches!(error, Some(Error::Unreachable(_, NetworkFault::TimedOut))));
        assert_eq!(clock.boot().millis_since(before), 2_000);
    }

    #[tokio::test]
    async fn what_is_no_answer_is_no_credentials() {
        let lost = Play::Fail(HttpError::Unknown(NetworkFault::CutOff));
        for play in [Play::answer(404, BODY), Play::answer(302, BODY).header("location", "http://a/"), lost] {
            let (world, _) = machine(None);
            let http = ReplayHttp::playing([play]);
            assert!(container(http.clone(), world, false).fetch().await.is_err());
            assert_eq!(http.seen().len(), 1);
        }
    }
}
