//! Reads a failover client and moves it by hand.

use std::{fmt, sync::Arc};

use super::{EndpointState, FailoverEvent, FailoverSettings, Snapshot, shared::Shared};
use crate::{
    ConfigError,
    telemetry::{Events, Name},
};

/// A handle of one failover client: reads what it knows, moves it by hand, changes its settings, subscribes to its events.
/// Cheap to clone; keeps the client's endpoints, probes and members alive.
pub struct FailoverHandle<S> {
    pub(super) shared: Arc<Shared<S>>,
}

/// There is no endpoint with this key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no endpoint `{0}`")]
pub struct NoSuchEndpoint(Name);

impl NoSuchEndpoint {
    /// The key that was asked for.
    pub fn key(&self) -> &Name {
        &self.0
    }
}

/// Why calls were not switched to an endpoint.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SwitchError {
    /// There is no endpoint with this key.
    #[error(transparent)]
    NoSuchEndpoint(#[from] NoSuchEndpoint),
    /// It cannot be called.
    #[error("endpoint `{key}` is out: {state}")]
    Out {
        /// The key that was asked for.
        key: Name,
        /// Why it cannot be called.
        state: EndpointState,
    },
}

impl<S> FailoverHandle<S> {
    /// The name of the client.
    pub fn name(&self) -> &Name {
        &self.shared.name
    }

    /// Of each endpoint, whether it is in or out and why, with figures. Right while idle too: what was due by now has been
    /// done.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.snapshot()
    }

    /// Events from now on. While a subscriber waits for one, what changes by time alone changes though no call comes.
    pub fn subscribe(&self) -> Events<FailoverEvent>
    where
        S: Send + Sync + 'static,
    {
        self.shared.events.subscribe().driving(self.shared.timers())
    }

    /// Sends no new calls to an endpoint, and waits until those under way have ended. It stays out until
    /// [`undrain`](Self::undrain), or until the source that it comes from replaces it. Dropping the future changes nothing of that.
    ///
    /// # Errors
    /// There is no such endpoint.
    pub async fn drain(&self, key: &str) -> Result<(), NoSuchEndpoint> {
        let id = self.id(key)?;
        self.shared.act(|control, now| control.drain(id, true, now));
        let Some(slot) = self.shared.slot(id) else { return Ok(()) };
        loop {
            let changed = Arc::clone(&self.shared.changed).notified_owned();
            // Or somebody has let it in again.
            if slot.load.in_flight() == 0 || !self.shared.read(|control, _| control.fleet.is_going(id)) {
                return Ok(());
            }
            changed.await;
        }
    }

    /// Sends calls to an endpoint again that was [drained](Self::drain) by hand.
    ///
    /// # Errors
    /// There is no such endpoint.
    pub fn undrain(&self, key: &str) -> Result<(), NoSuchEndpoint> {
        let id = self.id(key)?;
        self.shared.act(|control, now| control.drain(id, false, now));
        Ok(())
    }

    /// Sends all calls to this endpoint, one in hold too, until [`fail_back`](Self::fail_back). Calls under way stay where they
    /// are. If it goes out later, calls go where they would have gone, and do not come back to it by themselves:
    /// [`Snapshot::switched_to`] says whether it is still so.
    ///
    /// # Errors
    /// There is no such endpoint, or it cannot be called now, with the reason. Then nothing has changed: an earlier switch
    /// stays.
    pub fn switch_to(&self, key: &str) -> Result<(), SwitchError> {
        let switched = self.shared.act(|control, now| Some(control.fleet.pin(control.fleet.id_of(key)?, now)));
        let name = || Name::from(key.to_owned());
        let switched = switched.ok_or_else(|| NoSuchEndpoint(name()))?;
        switched.map_err(|state| SwitchError::Out { key: name(), state })
    }

    /// Goes back to the preferred tier now, whatever is in hold, and ends a [`switch_to`](Self::switch_to).
    ///
    /// Endpoints that were fenced because a standby had been [promoted](super::Cold::promote) are used again: first make sure
    /// that they follow it, or both take writes. Those with a lower epoch stay fenced; see
    /// [`forget_epochs`](Self::forget_epochs).
    pub fn fail_back(&self) {
        self.shared.act(|control, now| control.fleet.fail_back(now));
    }

    /// Forgets the highest epoch that has been seen, as after a restore that begins them anew: primaries with lower ones are
    /// no longer fenced.
    pub fn forget_epochs(&self) {
        self.shared.act(|control, now| control.fleet.forget_epochs(now));
    }

    /// The settings in force.
    pub fn settings(&self) -> FailoverSettings {
        (**self.shared.settings.get()).clone()
    }

    /// Changes settings in place: what is known of the endpoints stays. Of two concurrent changes the later one wins.
    ///
    /// # Errors
    /// The first setting that makes no sense; then nothing has changed.
    pub fn change(&self, edit: impl FnOnce(&mut FailoverSettings)) -> Result<(), ConfigError> {
        let mut settings = self.settings();
        edit(&mut settings);
        settings.check(&self.shared.name)?;
        self.shared.act(|control, now| {
            // Under the lock, or calls and the fleet might go by different ones.
            self.shared.settings.set(settings.clone());
            control.fleet.set_settings(settings, now);
        });
        self.shared.events.emit(|| FailoverEvent::SettingsChanged);
        Ok(())
    }

    fn id(&self, key: &str) -> Result<u32, NoSuchEndpoint> {
        let found = self.shared.read(|control, _| control.fleet.id_of(key));
        found.ok_or_else(|| NoSuchEndpoint(Name::from(key.to_owned())))
    }
}

impl<S> Clone for FailoverHandle<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<S> fmt::Debug for FailoverHandle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailoverHandle").field("name", &self.shared.name).finish_non_exhaustive()
    }
}
