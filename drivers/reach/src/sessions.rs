//! SSH sessions that are open, so that a host is logged in to once, however many ask for it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use driver::SshAccess;

use crate::{Dialer, ReachError, Session, ssh};

/// Who logs in where, and by which key.
type Login = (String, u16, String, Option<PathBuf>);
/// The session of a login; whoever opens one holds the place, and the others wait for it.
type Place = Arc<tokio::sync::Mutex<Option<Arc<dyn Session>>>>;

/// The SSH sessions that are open; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Sessions {
    places: Arc<Mutex<BTreeMap<Login, Place>>>,
}

impl Sessions {
    /// The session that is open, unless the host showed another key than the one that is pinned; else a new one.
    pub(crate) async fn get(&self, dialer: &Dialer, access: &SshAccess) -> Result<Arc<dyn Session>, ReachError> {
        let place = self.place(access);
        let mut open = place.lock().await;
        if let Some(session) = open.as_ref().filter(|session| session.is_open() && has_shown(&***session, access)) {
            return Ok(Arc::clone(session));
        }
        let session: Arc<dyn Session> = Arc::new(ssh::connect(dialer, access).await?);
        *open = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Lets go of the session that is open.
    pub(crate) async fn forget(&self, access: &SshAccess) {
        *self.place(access).lock().await = None;
    }

    fn place(&self, access: &SshAccess) -> Place {
        let login = (access.host.clone(), access.port, access.user.clone(), access.key_file.clone());
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(places.entry(login).or_default())
    }
}

/// Whether the host showed the key that is expected when the session was opened.
fn has_shown(session: &dyn Session, access: &SshAccess) -> bool {
    let shown = session.host_key().and_then(ssh::fingerprint);
    access.host_key.as_deref().is_none_or(|pin| {
        let pin = pin.trim();
        shown.is_some() && (ssh::fingerprint(pin) == shown || shown.as_deref() == Some(pin.trim_end_matches('=')))
    })
}
