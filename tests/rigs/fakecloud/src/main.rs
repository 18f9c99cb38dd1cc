//! fakecloud reduced to IAM and STS: signatures verified, IAM policies enforced, MFA codes checked against the seed.
//!
//! Usage: `claviger-fakecloud [PORT]`. Listens on 127.0.0.1 alone and prints its URL as the only line on stdout;
//! without PORT the kernel chooses one. The root key is `test`/`test`, the account 123456789012. Ends with its stdin,
//! so that a test that dies leaves nothing behind.

use axum::{Extension, Router};
use fakecloud_core::auth::IamMode;
use fakecloud_core::dispatch::{self, DispatchConfig};
use fakecloud_core::multi_account::MultiAccountState;
use fakecloud_core::registry::ServiceRegistry;
use fakecloud_iam::credential_resolver::IamCredentialResolver;
use fakecloud_iam::iam_service::IamService;
use fakecloud_iam::policy_evaluator::IamPolicyEvaluatorImpl;
use fakecloud_iam::resource_policy::StsResourcePolicyProvider;
use fakecloud_iam::sts_service::StsService;
use parking_lot::RwLock;
use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

const ACCOUNT: &str = "123456789012";
const REGION: &str = "us-east-1";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = std::env::args().nth(1).map_or(Ok(0), |text| text.parse())?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let service = app(&url).into_make_service_with_connect_info::<SocketAddr>();
    println!("{url}");
    io::stdout().flush()?;
    std::thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    });
    axum::serve(listener, service).await?;
    Ok(())
}

fn app(url: &str) -> Router {
    let state = Arc::new(RwLock::new(MultiAccountState::new(ACCOUNT, REGION, url)));
    let iam = IamService::new(state.clone());
    let sts = StsService::new(state.clone()).with_snapshot_lock(iam.snapshot_lock());
    let mut registry = ServiceRegistry::new();
    registry.register(Arc::new(iam));
    registry.register(Arc::new(sts));
    let config = DispatchConfig {
        region: REGION.to_owned(),
        account_id: ACCOUNT.to_owned(),
        verify_sigv4: true,
        iam_mode: IamMode::Strict,
        credential_resolver: Some(IamCredentialResolver::shared(state.clone())),
        policy_evaluator: Some(IamPolicyEvaluatorImpl::shared(state.clone())),
        resource_policy_provider: Some(StsResourcePolicyProvider::shared(state)),
        scp_resolver: None,
    };
    Router::new()
        .fallback(dispatch::dispatch)
        .layer(Extension(Arc::new(registry)))
        .layer(Extension(Arc::new(config)))
}
