//! What the services, permits and handles of one breaker share.
//!
//! While a breaker lets everything through, a call is admitted by one load; everything else locks the machine for a
//! few instructions. Events leave after the lock is released.

use std::time::Duration;

use super::{
    CircuitBreakerEvent,
    machine::{Machine, Refusal, Ticket},
    settings::CircuitBreakerSettings,
};
use crate::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    telemetry::{Emitter, Name, Timers},
    time::{Clock, Instant},
};

#[derive(Debug)]
pub(super) struct Core {
    pub(super) name: Name,
    pub(super) clock: Clock,
    pub(super) events: Emitter<CircuitBreakerEvent>,
    /// The machine's generation, and whether it lets all calls through: all that most calls need to know of it.
    admission: AtomicU64,
    /// Calls that take more nanoseconds are slow; `u64::MAX`: none is, and the start of a call need not be remembered.
    slow_after: AtomicU64,
    overloaded_is_failure: AtomicBool,
    machine: Mutex<Machine>,
}

/// The lowest bit of `Core::admission`.
const FREE: u64 = 1;

impl Core {
    pub(super) fn new(name: Name, settings: CircuitBreakerSettings, seed: u64) -> Self {
        let clock = Clock::start();
        let core = Self {
            name,
            clock,
            events: Emitter::new(),
            admission: AtomicU64::new(0),
            slow_after: AtomicU64::new(slow_after(&settings)),
            overloaded_is_failure: AtomicBool::new(settings.overloaded_is_failure),
            machine: Mutex::new(Machine::new(settings, seed, Duration::ZERO)),
        };
        core.with(|_| ());
        core
    }

    /// Runs `act` on the machine, under the lock; then tells what changed, outside of it.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Machine) -> T) -> T {
        let mut machine = self.machine.lock();
        let value = act(&mut machine);
        let admission = machine.generation() << 1 | if machine.lets_all_through() { FREE } else { 0 };
        if self.admission.load(Ordering::Relaxed) != admission {
            self.admission.store(admission, Ordering::Release);
        }
        let changes = machine.take_changes();
        drop(machine);
        for change in changes {
            self.tell(change);
        }
        value
    }

    /// Replaces the settings, which have been checked.
    pub(super) fn change(&self, now: Duration, settings: CircuitBreakerSettings) {
        self.with(|machine| {
            self.slow_after.store(slow_after(&settings), Ordering::Relaxed);
            self.overloaded_is_failure.store(settings.overloaded_is_failure, Ordering::Relaxed);
            machine.change(now, settings);
        });
    }

    pub(super) fn timed(&self) -> bool {
        self.slow_after.load(Ordering::Relaxed) != u64::MAX
    }

    /// Whether a call that took so long may be slow. Exact for all but those of centuries.
    pub(super) fn may_be_slow(&self, took: Duration) -> bool {
        took.as_nanos() > u128::from(self.slow_after.load(Ordering::Relaxed))
    }

    pub(super) fn overloaded_is_failure(&self) -> bool {
        self.overloaded_is_failure.load(Ordering::Relaxed)
    }

    /// The ticket that every call gets while the breaker lets all through.
    fn free_ticket(&self) -> Option<Ticket> {
        let admission = self.admission.load(Ordering::Acquire);
        (admission & FREE != 0).then_some(Ticket { generation: admission >> 1 })
    }

    pub(super) fn acquire(&self, now: impl FnOnce() -> Duration) -> Result<Ticket, Refusal> {
        match self.free_ticket() {
            Some(ticket) => Ok(ticket),
            None => self.with(|machine| machine.acquire(now())),
        }
    }

    pub(super) fn would_admit(&self, now: impl FnOnce() -> Duration) -> bool {
        self.free_ticket().is_some() || self.with(|machine| machine.would_admit(now()))
    }

    fn tell(&self, change: super::StateChange) {
        #[cfg(feature = "tracing")]
        super::event::trace(&self.name, &change);
        self.events.emit(|| CircuitBreakerEvent::StateChanged(change));
    }
}

/// For `Core::slow_after`.
fn slow_after(settings: &CircuitBreakerSettings) -> u64 {
    let nanos = |longer_than: Duration| u64::try_from(longer_than.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX - 1);
    settings.slow_calls.map_or(u64::MAX, |slow| nanos(slow.longer_than))
}

impl Timers for Core {
    fn next(&self) -> Option<Instant> {
        let due = self.with(|machine| machine.next_timer())?;
        self.clock.instant(due)
    }

    fn run_due(&self) {
        let now = self.clock.now();
        self.with(|machine| machine.advance(now));
    }
}
