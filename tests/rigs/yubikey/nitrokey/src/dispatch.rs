//! Which part of Trussed does which of the applet's requests.

use trussed::backend::{Backend as _, BackendId};
use trussed::platform::Platform;
use trussed::serde_extensions::{ExtensionDispatch, ExtensionId, ExtensionImpl};
use trussed::service::ServiceResources;
use trussed::types::Context;
use trussed_auth::AuthExtension;
use trussed_auth_backend::{AuthBackend, AuthContext, FilesystemLayout};
use trussed_chunked::ChunkedExtension;
use trussed_core::Error;
use trussed_core::api::{Reply, Request, reply, request};
use trussed_core::types::Location;
use trussed_hpke::HpkeExtension;
use trussed_rsa_alloc::SoftwareRsa;
use trussed_staging::{StagingBackend, StagingContext};
use trussed_wrap_key_to_file::WrapKeyToFileExtension;

/// In the order in which they are asked.
pub(crate) const BACKENDS: &[BackendId<Backend>] = &[
    BackendId::Custom(Backend::Staging),
    BackendId::Custom(Backend::Auth),
    BackendId::Custom(Backend::Rsa),
    BackendId::Core,
];

#[derive(Debug, Clone, Copy)]
pub(crate) enum Backend {
    Auth,
    Rsa,
    Staging,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Extension {
    Auth,
    Chunked,
    Hpke,
    Wrap,
}

impl From<Extension> for u8 {
    fn from(extension: Extension) -> Self {
        extension as Self
    }
}

impl TryFrom<u8> for Extension {
    type Error = Error;

    fn try_from(number: u8) -> Result<Self, Error> {
        let all = [Self::Auth, Self::Chunked, Self::Hpke, Self::Wrap];
        all.get(usize::from(number)).copied().ok_or(Error::InternalError)
    }
}

pub(crate) struct Dispatch {
    auth: AuthBackend,
    staging: StagingBackend,
}

impl Dispatch {
    pub(crate) fn new() -> Self {
        let salt = (*b"a key for tests!").as_slice().try_into().expect("it fits");
        let auth = AuthBackend::with_hw_key(Location::Internal, salt, FilesystemLayout::V0);
        Self { auth, staging: StagingBackend::new() }
    }
}

#[derive(Default)]
pub(crate) struct Contexts {
    auth: AuthContext,
    staging: StagingContext,
}

impl ExtensionDispatch for Dispatch {
    type BackendId = Backend;
    type Context = Contexts;
    type ExtensionId = Extension;

    fn core_request<P: Platform>(
        &mut self,
        backend: &Backend,
        context: &mut Context<Contexts>,
        request: &Request,
        resources: &mut ServiceResources<P>,
    ) -> Result<Reply, Error> {
        let (core, own) = (&mut context.core, &mut context.backends);
        match backend {
            Backend::Auth => self.auth.request(core, &mut own.auth, request, resources),
            Backend::Staging => self.staging.request(core, &mut own.staging, request, resources),
            Backend::Rsa => SoftwareRsa.request(core, &mut (), request, resources),
        }
    }

    fn extension_request<P: Platform>(
        &mut self,
        backend: &Backend,
        extension: &Extension,
        context: &mut Context<Contexts>,
        request: &request::SerdeExtension,
        resources: &mut ServiceResources<P>,
    ) -> Result<reply::SerdeExtension, Error> {
        let (core, own) = (&mut context.core, &mut context.backends);
        let staging = &mut self.staging;
        match (backend, extension) {
            (Backend::Auth, Extension::Auth) => {
                self.auth.extension_request_serialized(core, &mut own.auth, request, resources)
            }
            (Backend::Staging, Extension::Chunked) => ExtensionImpl::<ChunkedExtension>::extension_request_serialized(
                staging,
                core,
                &mut own.staging,
                request,
                resources,
            ),
            (Backend::Staging, Extension::Hpke) => ExtensionImpl::<HpkeExtension>::extension_request_serialized(
                staging,
                core,
                &mut own.staging,
                request,
                resources,
            ),
            (Backend::Staging, Extension::Wrap) => {
                ExtensionImpl::<WrapKeyToFileExtension>::extension_request_serialized(
                    staging,
                    core,
                    &mut own.staging,
                    request,
                    resources,
                )
            }
            _ => Err(Error::RequestNotAvailable),
        }
    }
}

macro_rules! extensions {
    ($($extension:ty => $id:ident),*) => {
        $(impl ExtensionId<$extension> for Dispatch {
            type Id = Extension;
            const ID: Extension = Extension::$id;
        })*
    };
}
extensions!(AuthExtension => Auth, ChunkedExtension => Chunked, HpkeExtension => Hpke, WrapKeyToFileExtension => Wrap);
