//! The network itself: HTTP/1.1 over TLS 1.2 or 1.3, one connection a request.

use super::http::{Http, HttpError, HttpRequest, HttpResponse, NetworkFault, Unplugged};
use crate::config::{Accepted, NoProxy, proxy_address};
use crate::world::{BoxFuture, Clock};
use ::http::header::{CONTENT_ENCODING, HOST, HeaderValue};
use ::http::{Request, Response, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use std::error::Error as StdError;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use tokio::net::TcpStream;
use tower_service::Service;
use url::Url;
use zeroize::Zeroizing;

/// Milliseconds for name, TCP and TLS together.
const CONNECT_MILLIS: u64 = 3_000;
/// Milliseconds for one whole exchange, connecting included. Twice this is what a caller of a door waits at most.
const EXCHANGE_MILLIS: u64 = 5_000;
/// The most bytes of head and unread body that hyper holds.
const BUFFER_LIMIT: usize = 64 * 1024;

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// [`Http`] over hyper and rustls. Trusts what the system trusts and the accepted CA bundle; obeys no environment
/// variable.
///
/// Every request has a connection of its own. Calls are few, and one lost on a connection that died while the machine
/// slept would cost an MFA code.
pub struct HyperHttp {
    direct: HttpsConnector<HttpConnector>,
    proxy: Option<Proxy>,
    clock: Arc<dyn Clock>,
}

/// The proxy of `[network]`: asked to CONNECT, so that it sees names and nothing else (RFC 9110 section 9.3.6).
struct Proxy {
    connector: HttpsConnector<Tunnel<ToProxy>>,
    without: NoProxy,
}

/// Why there is no network with these settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NetworkSettingsError {
    /// `[network] ca_bundle` holds something else.
    #[error("[network] ca_bundle has no certificate in PEM, or one that cannot be read")]
    Bundle,
    /// The system has no certificate that TLS could trust.
    #[error("no trusted certificates on this system (install ca-certificates)")]
    NoTrustStore,
    /// `[network] proxy` is none.
    #[error("{0}")]
    Proxy(&'static str),
}

impl HyperHttp {
    /// Refuses a system where there is nothing to read a trust store from.
    pub fn find_trust_store() -> Result<(), NetworkSettingsError> {
        if has_certificates() { Ok(()) } else { Err(NetworkSettingsError::NoTrustStore) }
    }

    /// Reads the system trust store, once, and takes proxy and CA bundle from what was accepted.
    pub fn new(accepted: &Accepted, clock: Arc<dyn Clock>) -> Result<Self, NetworkSettingsError> {
        let mut roots = RootCertStore::empty();
        let (usable, _) = roots.add_parsable_certificates(system_certificates());
        if usable == 0 {
            return Err(NetworkSettingsError::NoTrustStore);
        }
        Self::trusting(roots, accepted, clock)
    }

    /// The same with these roots in place of the system's.
    pub(super) fn trusting(
        mut roots: RootCertStore,
        accepted: &Accepted,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, NetworkSettingsError> {
        if let Some(pem) = &accepted.ca_bundle {
            add_bundle(&mut roots, pem)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| NetworkSettingsError::NoTrustStore)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let tls = Arc::new(tls);
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let network = &accepted.security.network;
        let proxy = match &network.proxy {
            Some(text) => {
                let address = proxy_address(text).map_err(NetworkSettingsError::Proxy)?;
                let address = with_port(&address).ok_or(NetworkSettingsError::Proxy("[network] proxy has no port"))?;
                let tunnel = Tunnel::new(address, ToProxy(tcp.clone()));
                Some(Proxy {
                    connector: HttpsConnector::from((tunnel, tls.clone())),
                    without: NoProxy::new(&network.no_proxy),
                })
            }
            None => None,
        };
        Ok(Self { direct: HttpsConnector::from((tcp, tls)), proxy, clock })
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let begun = self.clock.boot();
        let proxy =
            self.proxy.as_ref().filter(|proxy| request.url.host().is_none_or(|host| !proxy.without.covers(&host)));
        let limit = request.answer_limit;
        let (target, request) = written(request).ok_or(HttpError::NotSent(NetworkFault::BadRequest))?;
        let late = if proxy.is_some() { NetworkFault::ProxySilent } else { NetworkFault::TimedOut };
        let stream = tokio::select! {
            biased;
            stream = self.connect(target, proxy) => stream.map_err(HttpError::NotSent)?,
            () = self.clock.sleep_until(begun.plus_millis(CONNECT_MILLIS)) => return Err(HttpError::NotSent(late)),
        };
        tokio::select! {
            biased;
            answer = converse(stream, request, limit) => answer.map_err(HttpError::Unknown),
            () = self.clock.sleep_until(begun.plus_millis(EXCHANGE_MILLIS)) => {
                Err(HttpError::Unknown(NetworkFault::TimedOut))
            }
        }
    }

    async fn connect(&self, target: Uri, proxy: Option<&Proxy>) -> Result<Stream, NetworkFault> {
        match proxy {
            Some(proxy) => through(proxy.connector.clone(), target).await.map_err(|error| proxy_fault(&*error)),
            None => through(self.direct.clone(), target).await.map_err(|error| connect_fault(&*error)),
        }
    }
}

/// The connection to the proxy itself. Its error has a name here, to be told from the tunnel's, which have none.
#[derive(Clone)]
struct ToProxy(HttpConnector);

#[derive(Debug, thiserror::Error)]
#[error("the proxy does not accept the connection")]
struct NoProxyThere;

impl Service<Uri> for ToProxy {
    type Response = TokioIo<TcpStream>;
    type Error = NoProxyThere;
    type Future = BoxFuture<'static, Result<Self::Response, NoProxyThere>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), NoProxyThere>> {
        self.0.poll_ready(context).map_err(|_| NoProxyThere)
    }

    fn call(&mut self, address: Uri) -> Self::Future {
        let connecting = self.0.call(address);
        Box::pin(async move { connecting.await.map_err(|_| NoProxyThere) })
    }
}

async fn through<C>(mut connector: C, target: Uri) -> Result<Stream, C::Error>
where
    C: Service<Uri, Response = Stream>,
{
    std::future::poll_fn(|context| connector.poll_ready(context)).await?;
    connector.call(target).await
}

fn add_bundle(roots: &mut RootCertStore, pem: &str) -> Result<(), NetworkSettingsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let certificates = certificates.map_err(|_| NetworkSettingsError::Bundle)?;
    let (usable, unusable) = roots.add_parsable_certificates(certificates);
    if usable == 0 || unusable > 0 { Err(NetworkSettingsError::Bundle) } else { Ok(()) }
}

/// The URL with its port written out: a tunnel would take 443 for any that has none.
fn with_port(url: &Url) -> Option<Uri> {
    let origin = format!("{}://{}:{}{}", url.scheme(), url.host_str()?, url.port_or_known_default()?, url.path());
    origin.parse().ok()
}

impl Http for HyperHttp {
    fn send(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpError>> {
        Box::pin(self.exchange(request))
    }
}

/// [`HyperHttp`] with the system's trust and nothing else, read at the first request: most agents never make one here,
/// and a trust store takes 10 ms and memory.
pub struct LazyHttp {
    http: OnceLock<Result<HyperHttp, NetworkSettingsError>>,
    clock: Arc<dyn Clock>,
}

impl LazyHttp {
    /// Reads nothing yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { http: OnceLock::new(), clock }
    }
}

impl Http for LazyHttp {
    fn send(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpError>> {
        match self.http.get_or_init(|| HyperHttp::new(&Accepted::default(), self.clock.clone())) {
            Ok(http) => http.send(request),
            Err(error) => {
                tracing::error!(%error, "the system's trust store");
                Unplugged.send(request)
            }
        }
    }
}

/// The request as hyper takes it, and where to connect. The body keeps its wiping buffer.
fn written(request: HttpRequest) -> Option<(Uri, Request<Full<Bytes>>)> {
    let HttpRequest { method, url, headers, body, answer_limit: _ } = request;
    let written_url: Uri = url.as_str().parse().ok()?;
    let target = with_port(&url)?;
    let mut written = Request::builder()
        .method(method)
        .uri(written_url.path_and_query()?.as_str())
        .body(Full::new(Bytes::from_owner(body)))
        .ok()?;
    written.headers_mut().insert(HOST, HeaderValue::from_str(written_url.authority()?.as_str()).ok()?);
    for (name, value) in headers {
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(TextBytes(value))).ok()?;
        value.set_sensitive(true);
        written.headers_mut().insert(name, value);
    }
    Some((target, written))
}

struct TextBytes(Zeroizing<String>);

impl AsRef<[u8]> for TextBytes {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

async fn converse(stream: Stream, request: Request<Full<Bytes>>, limit: usize) -> Result<HttpResponse, NetworkFault> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(BUFFER_LIMIT)
        .handshake(stream)
        .await
        .map_err(|error| answer_fault(&error))?;
    // Both in this task, not one in its own: whoever drops the call has closed the connection.
    let exchange = async move {
        let answer = sender.send_request(request).await.map_err(|error| answer_fault(&error))?;
        whole(answer, limit).await
    };
    let mut exchange = pin!(exchange);
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        _ = connection => exchange.await,
    }
}

async fn whole(answer: Response<Incoming>, limit: usize) -> Result<HttpResponse, NetworkFault> {
    let (head, mut incoming) = answer.into_parts();
    if head.headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(NetworkFault::BadAnswer);
    }
    let announced = incoming.size_hint().exact().unwrap_or(0);
    if announced > u64::try_from(limit).unwrap_or(u64::MAX) {
        return Err(NetworkFault::TooLarge);
    }
    let mut body = Zeroizing::new(Vec::with_capacity(usize::try_from(announced).unwrap_or(0)));
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| answer_fault(&error))?;
        let Some(data) = frame.data_ref() else { continue };
        if body.len().saturating_add(data.len()) > limit {
            return Err(NetworkFault::TooLarge);
        }
        body.extend_from_slice(data);
    }
    Ok(HttpResponse { status: head.status.as_u16(), headers: head.headers, body })
}

fn answer_fault(error: &hyper::Error) -> NetworkFault {
    if error.is_parse_too_large() {
        NetworkFault::TooLarge
    } else if error.is_parse() {
        NetworkFault::BadAnswer
    } else {
        NetworkFault::CutOff
    }
}

/// Looks for rustls's own error in the chain, which passes through several `io::Error`s.
fn connect_fault(error: &(dyn StdError + Send + Sync + 'static)) -> NetworkFault {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(current) = next {
        if let Some(tls) = current.downcast_ref::<rustls::Error>() {
            return tls_fault(tls);
        }
        next = match current.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => current.source(),
        };
    }
    NetworkFault::NotConnected
}

/// A TLS error is the far server's, behind the proxy; everything else is between here and the proxy.
fn proxy_fault(error: &(dyn StdError + Send + Sync + 'static)) -> NetworkFault {
    match connect_fault(error) {
        NetworkFault::NotConnected => {}
        tls => return tls,
    }
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(current) = next {
        if current.is::<NoProxyThere>() {
            return NetworkFault::ProxyNotConnected;
        }
        next = current.source();
    }
    NetworkFault::ProxyRefused
}

fn tls_fault(error: &rustls::Error) -> NetworkFault {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    match error {
        rustls::Error::InvalidCertificate(
            Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. },
        ) => NetworkFault::CertificateDates,
        rustls::Error::InvalidCertificate(_) => NetworkFault::UntrustedCertificate,
        _ => NetworkFault::Tls,
    }
}

/// Where distributions keep the bundle; the first that exists counts. Searched here because every crate that
/// searches obeys SSL_CERT_FILE and SSL_CERT_DIR, which belong to whoever started the agent.
#[cfg(not(any(target_os = "macos", windows)))]
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/var/lib/ca-certificates/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];

/// Where they are one by one.
#[cfg(not(any(target_os = "macos", windows)))]
const FOLDER: &str = "/etc/ssl/certs";

#[cfg(not(any(target_os = "macos", windows)))]
fn has_certificates() -> bool {
    BUNDLES.iter().any(|path| Path::new(path).is_file()) || Path::new(FOLDER).is_dir()
}

/// Looked into when it is read.
#[cfg(any(target_os = "macos", windows))]
fn has_certificates() -> bool {
    true
}

#[cfg(not(any(target_os = "macos", windows)))]
fn system_certificates() -> Vec<CertificateDer<'static>> {
    let folder = Path::new(FOLDER);
    let bundle = BUNDLES.iter().map(Path::new).find(|path| path.is_file());
    let folder = (bundle.is_none() && folder.is_dir()).then_some(folder);
    rustls_native_certs::load_certs_from_paths(bundle, folder).certs
}

/// The key store of the system. Here the crate still obeys SSL_CERT_FILE: the agent clears its environment at start.
#[cfg(any(target_os = "macos", windows))]
fn system_certificates() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}
