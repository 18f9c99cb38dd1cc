//! The IAM user of an access key, and what IAM is asked with for them.

use super::{Error, access_key};
use crate::ask::Listener;
use crate::aws::profile::ProfileSet;
use crate::aws::{Endpoint, IamAccess};
use crate::session::{self, Office, Session};
use crate::vault::SigningKey;
use claviger::model::{Arn, Name};
use std::sync::Arc;

/// A user, and what signs for them: the session with MFA where they have a device here, else the access key.
pub struct IamUser {
    /// The access key, by its name here.
    pub access_key: Name,
    /// Who they are.
    pub arn: Arn,
    /// IAM's endpoint.
    pub iam: Endpoint,
    /// The STS endpoint of their key.
    pub sts: Endpoint,
    signer: Signer,
}

enum Signer {
    Key(SigningKey),
    Session(Arc<Session>),
}

impl IamUser {
    /// The user of a stored access key. A code may be spent for their session.
    ///
    /// # Errors
    /// [`Error::AccessKeyNotFound`]; [`Error::NotUser`]; those of the session and of AWS.
    pub async fn of(
        office: &Arc<Office>,
        profiles: &ProfileSet,
        access_key: &Name,
        listener: Listener,
    ) -> Result<Self, Error> {
        let session = office.user_mfa_session(profiles, access_key, listener).await.map_err(Error::UserSession)?;
        Self::with(office, profiles, access_key, session).await
    }

    /// The same with what is at hand: nobody is asked for a code.
    ///
    /// # Errors
    /// The same.
    pub async fn at_hand(office: &Arc<Office>, profiles: &ProfileSet, access_key: &Name) -> Result<Self, Error> {
        Self::with(office, profiles, access_key, office.user_mfa_session_at_hand(profiles, access_key)).await
    }

    async fn with(
        office: &Arc<Office>,
        profiles: &ProfileSet,
        access_key: &Name,
        session: Option<Arc<Session>>,
    ) -> Result<Self, Error> {
        let custody = office.custody();
        custody.require_unlocked()?;
        let known = custody.knowledge().access_keys.get(access_key).cloned();
        let known = known.ok_or_else(|| Error::AccessKeyNotFound(access_key.clone()))?;
        let key = custody.signing_key(access_key)?;
        let (_, sts) = office.base_endpoint(profiles, access_key)?;
        let arn = match known {
            Some(arn) => arn,
            None => access_key::owner(office, &sts, &key.access_key_id, &key.secret).await?,
        };
        let iam = office.iam_endpoint(profiles, access_key)?;
        let signer = session.map_or(Signer::Key(key), Signer::Session);
        Ok(Self { access_key: access_key.clone(), arn, iam, sts, signer })
    }

    /// Their name at IAM: the last part of the ARN, after its path.
    pub fn name(&self) -> &str {
        self.arn.resource().rsplit('/').next().unwrap_or_default()
    }

    /// What asks IAM.
    pub fn access(&self) -> IamAccess<'_> {
        let by = match &self.signer {
            Signer::Key(key) => session::signing(key),
            Signer::Session(session) => session.signing(),
        };
        IamAccess { by, at: &self.iam }
    }

    /// The same with the user's key of now in place of another: their session stays what it is.
    ///
    /// # Errors
    /// Those of the vault.
    pub fn with_key_of_now(self, office: &Office) -> Result<Self, Error> {
        let signer = match self.signer {
            Signer::Key(_) => Signer::Key(office.custody().signing_key(&self.access_key)?),
            session => session,
        };
        Ok(Self { signer, ..self })
    }
}
