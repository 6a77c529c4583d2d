//! Reads a breaker and moves it by hand.

use std::{sync::Arc, time::Duration};

use super::{CircuitBreakerEvent, CircuitBreakerSettings, Permit, Snapshot, State, core::Core, machine::Machine};
use crate::{
    ConfigError, Rejected,
    telemetry::{Events, Name, Timers},
};

/// A handle of one circuit breaker: reads its state, moves it by hand, changes its settings, subscribes to its
/// events. Cheap to clone; keeps the breaker alive.
#[derive(Clone, Debug)]
pub struct CircuitBreakerHandle {
    pub(super) core: Arc<Core>,
}

impl CircuitBreakerHandle {
    /// The name of the breaker.
    pub fn name(&self) -> &Name {
        &self.core.name
    }

    /// The state. Right while idle too: what was due by now has been done.
    pub fn state(&self) -> State {
        self.snapshot().state
    }

    /// State, rates and counts at this moment.
    pub fn snapshot(&self) -> Snapshot {
        self.act(|machine, now| machine.snapshot(now))
    }

    /// Asks for one call to be let through, for code without a service.
    ///
    /// # Errors
    /// The breaker's refusal, with the time after which a call has a chance.
    pub fn acquire(&self) -> Result<Permit, Rejected> {
        Permit::by_hand(&self.core)
    }

    /// Events from now on. While a subscriber waits for one, the breaker's timers run even if no call comes.
    pub fn subscribe(&self) -> Events<CircuitBreakerEvent> {
        let timers: std::sync::Weak<dyn Timers> = Arc::<Core>::downgrade(&self.core);
        self.core.events.subscribe().driving(timers)
    }

    /// Opens the breaker for the wait that its settings give, from any state.
    pub fn open(&self) {
        self.act(Machine::open);
    }

    /// Opens the breaker for `wait`, from any state.
    pub fn open_for(&self, wait: Duration) {
        self.act(|machine, now| machine.open_for(now, wait));
    }

    /// Begins half-open now, from any state in which there is something to try. `false`, and nothing changed, if closed
    /// or metrics only.
    pub fn half_open(&self) -> bool {
        self.act(Machine::half_open)
    }

    /// Closes the breaker with an empty window, from any state. Ends what was forced by hand.
    pub fn close(&self) {
        self.act(Machine::close);
    }

    /// Back to how it was built: closed, window and attempts empty, every timer void.
    pub fn reset(&self) {
        self.act(Machine::close);
    }

    /// Refuses all calls until told otherwise.
    pub fn force_open(&self) {
        self.act(Machine::force_open);
    }

    /// Lets all calls through and records nothing, until told otherwise.
    pub fn disable(&self) {
        self.act(Machine::disable);
    }

    /// Lets all calls through and records them but never opens, until told otherwise.
    pub fn metrics_only(&self) {
        self.act(Machine::metrics_only);
    }

    /// The settings in force.
    pub fn settings(&self) -> CircuitBreakerSettings {
        self.core.with(|machine| machine.settings().clone())
    }

    /// Changes settings in place: the state, the calls in flight and the window stay. A change between calls and
    /// seconds empties the window. `edit` runs outside of the lock; of two concurrent changes the later one wins.
    ///
    /// # Errors
    /// The first setting that makes no sense; then nothing has changed.
    pub fn change(&self, edit: impl FnOnce(&mut CircuitBreakerSettings)) -> Result<(), ConfigError> {
        let mut settings = self.settings();
        edit(&mut settings);
        settings.check(&self.core.name)?;
        self.core.change(self.core.clock.now(), settings);
        self.core.events.emit(|| CircuitBreakerEvent::SettingsChanged);
        Ok(())
    }

    fn act<T>(&self, act: impl FnOnce(&mut Machine, Duration) -> T) -> T {
        let now = self.core.clock.now();
        self.core.with(|machine| act(machine, now))
    }
}
