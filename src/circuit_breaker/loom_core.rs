//! Every interleaving of a few threads over the shipped [`Core`], up to three preemptions.
//!
//! ```text
//! RUSTFLAGS="--cfg steadfast_loom" cargo test --release --lib loom_
//! ```
//!
//! 1. Trial calls out and their outcomes never exceed `half_open_calls`, through live changes of it too; every place
//!    that is given back can be had again; when all outcomes are there, half-open is left.
//! 2. An outcome from before a change of state changes nothing but the count of late ones, and no call that was let
//!    through by the admission word alone has a ticket of a state that counts places.
//! 3. Once `force_open` has returned nobody is let through, once `close` has returned everybody is, whatever else
//!    writes the admission word at the same time.
//! 4. Failures at the same time open the breaker once, and every change of state is told exactly once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex as StdMutex},
    time::Duration,
};

use loom::{
    sync::atomic::{AtomicBool, Ordering},
    thread::{self, JoinHandle},
};

use super::{
    Abandoned, CircuitBreakerEvent, CircuitBreakerSettings, State, StateChange, Window,
    core::Core,
    machine::{Machine, Outcome, Ticket},
    permit::Permit,
};
use crate::{
    backoff::Backoff,
    telemetry::{Events, Name, Received},
};

const ZERO: Duration = Duration::ZERO;
const WAIT: Duration = Duration::from_secs(60);

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// Opens at the first failure, closes after `half_open_calls` successes.
fn settings(half_open_calls: u32) -> CircuitBreakerSettings {
    CircuitBreakerSettings {
        window: Window::Count(1),
        minimum_calls: half_open_calls,
        consecutive_failures: None,
        wait_open: Backoff::fixed(WAIT),
        half_open_calls,
        half_open_max_wait: None,
        ..CircuitBreakerSettings::default()
    }
}

fn core(settings: CircuitBreakerSettings) -> Arc<Core> {
    Arc::new(Core::new(Name::from_static("loom"), settings, 0))
}

fn spawn<T: 'static>(core: &Arc<Core>, run: impl FnOnce(&Arc<Core>) -> T + 'static) -> JoinHandle<T> {
    let core = Arc::clone(core);
    thread::spawn(move || run(&core))
}

fn state(core: &Core) -> State {
    core.with(|machine| machine.state())
}

fn record(core: &Core, now: Duration, ticket: Ticket, outcome: Outcome) {
    core.with(|machine| machine.record(now, ticket, outcome, ZERO));
}

/// Lets trial calls succeed one by one until half-open is left, which takes at most `calls`.
fn leaves_half_open_within(core: &Core, calls: u32) {
    for _ in 0..calls {
        if state(core) != State::HalfOpen {
            return;
        }
        let ticket = core.acquire(|| WAIT).expect("a place for the call that decides");
        record(core, WAIT, ticket, Outcome::Success);
    }
    assert_ne!(state(core), State::HalfOpen);
}

/// Per generation, the calls that are out or have an outcome. Not seen by loom: it takes no part in the interleaving.
#[derive(Clone, Default)]
struct Places(Arc<StdMutex<HashMap<u64, u32>>>);

impl Places {
    /// Counts a call that is let through; `half_open` is the generation that counts places.
    fn take(&self, ticket: Ticket, half_open: u64, most: u32) {
        let taken = {
            let mut places = self.0.lock().unwrap();
            let taken = places.entry(ticket.generation).or_default();
            *taken += 1;
            *taken
        };
        assert!(ticket.generation != half_open || taken <= most, "{taken} trial calls of {most}");
    }

    /// A call gives its place back, and is about to say so.
    fn give_back(&self, ticket: Ticket) {
        *self.0.lock().unwrap().get_mut(&ticket.generation).unwrap() -= 1;
    }
}

/// How the calls of model 1 end.
#[derive(Clone, Copy)]
enum End {
    Records(Outcome),
    Abandons,
    Releases,
}

fn half_open_model(calls: u32, abandoned: Abandoned, ends: [End; 3]) {
    explore(move || {
        let core = core(CircuitBreakerSettings { abandoned, ..settings(calls) });
        core.with(|machine| machine.open(ZERO)); // generation 1; the first call makes it half-open, 2
        let places = Places::default();
        let callers = ends.map(|end| {
            let places = places.clone();
            spawn(&core, move |core| {
                let Ok(ticket) = core.acquire(|| WAIT) else { return };
                places.take(ticket, 2, calls);
                match end {
                    End::Records(outcome) => record(core, WAIT, ticket, outcome),
                    End::Abandons => {
                        places.give_back(ticket);
                        core.with(|machine| machine.abandon(WAIT, ticket, ZERO, false));
                    }
                    End::Releases => {
                        places.give_back(ticket);
                        core.with(|machine| machine.release(WAIT, ticket));
                    }
                }
            })
        });
        for caller in callers {
            caller.join().unwrap();
        }
        leaves_half_open_within(&core, calls);
    });
}

#[test]
fn loom_trial_calls_never_exceed_the_places_and_decide() {
    use End::Records;
    half_open_model(2, Abandoned::Judged, [Records(Outcome::Success), Records(Outcome::Success), End::Releases]);
    half_open_model(2, Abandoned::Ignored, [Records(Outcome::Success), Records(Outcome::Failure), End::Abandons]);
    half_open_model(1, Abandoned::Ignored, [Records(Outcome::Success), End::Abandons, End::Releases]);
}

#[test]
fn loom_abandoned_trial_calls_never_close_and_give_their_places_back() {
    explore(|| {
        let core = core(settings(2));
        core.with(|machine| machine.open(ZERO));
        let places = Places::default();
        let callers = [(); 3].map(|()| {
            let places = places.clone();
            spawn(&core, move |core| {
                let Ok(ticket) = core.acquire(|| WAIT) else { return };
                places.take(ticket, 2, 2);
                places.give_back(ticket);
                core.with(|machine| {
                    machine.abandon(WAIT, ticket, ZERO, false);
                    assert_ne!(machine.state(), State::Closed);
                });
            })
        });
        for caller in callers {
            caller.join().unwrap();
        }
        // Two or three calls have ended, all abandoned: that is a service that hangs.
        assert_eq!(state(&core), State::Open);
    });
}

#[test]
fn loom_places_hold_while_their_number_changes() {
    explore(|| {
        let core = core(settings(2));
        core.with(|machine| machine.open(ZERO));
        let places = Places::default();
        let callers = [(); 2].map(|()| {
            let places = places.clone();
            spawn(&core, move |core| {
                let Ok(ticket) = core.acquire(|| WAIT) else { return };
                places.take(ticket, 2, 2);
                record(core, WAIT, ticket, Outcome::Success);
            })
        });
        let lowers = spawn(&core, |core| core.change(WAIT, settings(1)));
        for thread in callers.into_iter().chain([lowers]) {
            thread.join().unwrap();
        }
        leaves_half_open_within(&core, 1);
        assert_eq!(state(&core), State::Closed);
    });
}

#[test]
fn loom_a_dropped_permit_gives_its_place_back() {
    explore(|| {
        let core = core(CircuitBreakerSettings { abandoned: Abandoned::Ignored, ..settings(1) });
        core.with(|machine| {
            machine.open(ZERO);
            machine.half_open(ZERO)
        });
        let calls = [true, false].map(|ends| {
            spawn(&core, move |core| match Permit::for_call(core) {
                Ok(mut permit) if ends => permit.run(|| ()), // and dropped
                Ok(permit) => permit.release(),
                Err(_) => {}
            })
        });
        for call in calls {
            call.join().unwrap();
        }
        Permit::for_call(&core).expect("nobody is out").success();
        assert_eq!(state(&core), State::Closed);
    });
}

/// All that an outcome can change, but for the late ones.
fn face(machine: &mut Machine) -> (u64, super::Snapshot) {
    let mut snapshot = machine.snapshot(WAIT);
    snapshot.late = 0;
    (machine.generation(), snapshot)
}

#[test]
fn loom_a_late_outcome_changes_nothing() {
    explore(|| {
        let core = core(settings(1));
        let calls = [Outcome::Failure, Outcome::Success].map(|outcome| {
            spawn(&core, move |core| {
                let ticket = core.acquire(|| ZERO).ok()?;
                core.with(|machine| {
                    let before = face(machine);
                    machine.record(WAIT, ticket, outcome, ZERO);
                    assert!(before.0 == ticket.generation || before == face(machine), "a late outcome counted");
                });
                Some(ticket)
            })
        });
        // Closed => Open => HalfOpen => Closed, the place of half-open being taken throughout.
        let turns = spawn(&core, |core| {
            core.with(|machine| machine.open(ZERO));
            let trial = core.with(|machine| {
                machine.half_open(ZERO);
                machine.acquire(ZERO).unwrap()
            });
            record(core, ZERO, trial, Outcome::Success);
            trial
        });
        let trial = turns.join().unwrap();
        for call in calls {
            assert_ne!(call.join().unwrap(), Some(trial), "let through without a place");
        }
    });
}

/// `before` writes the admission word at the same time, and does nothing once `force` has been there. (It has to
/// write: of a thread that only reads an atomic loom does not see that its reading could come later.)
fn forced_model(force: fn(&mut Machine), before: fn(&mut Machine), admitted: bool) {
    explore(move || {
        let core = core(settings(1));
        if admitted {
            core.with(|machine| machine.force_open(ZERO));
        }
        let forced = Arc::new(AtomicBool::new(false));
        let forces = spawn(&core, {
            let forced = Arc::clone(&forced);
            move |core| {
                core.with(force);
                forced.store(true, Ordering::Release);
                assert_eq!(core.acquire(|| ZERO).is_ok(), admitted);
            }
        });
        let elsewhere = spawn(&core, move |core| core.with(before));
        let calls = spawn(&core, move |core| {
            let after = forced.load(Ordering::Acquire);
            let result = core.acquire(|| ZERO);
            assert!(!after || result.is_ok() == admitted, "forced, yet {result:?}");
        });
        for thread in [forces, elsewhere, calls] {
            thread.join().unwrap();
        }
        assert_eq!(core.acquire(|| ZERO).is_ok(), admitted);
    });
}

#[test]
fn loom_nobody_is_let_through_once_force_open_has_returned() {
    let disable = |machine: &mut Machine| {
        if machine.state() != State::ForcedOpen {
            machine.disable(ZERO);
        }
    };
    forced_model(|machine| machine.force_open(ZERO), disable, false);
}

#[test]
fn loom_everybody_is_let_through_once_close_has_returned() {
    let force_open_again = |machine: &mut Machine| {
        if machine.state() != State::Closed {
            machine.force_open(ZERO);
        }
    };
    forced_model(|machine| machine.close(ZERO), force_open_again, true);
}

/// What a subscriber was told, oldest generation first.
fn told(events: &mut Events<CircuitBreakerEvent>) -> Vec<StateChange> {
    let mut changes: Vec<_> = std::iter::from_fn(|| events.try_recv())
        .map(|received| match received {
            Received::Event(CircuitBreakerEvent::StateChanged(change)) => change,
            other => panic!("{other:?}"),
        })
        .collect();
    changes.sort_by_key(|change| change.generation);
    changes
}

#[test]
fn loom_failures_at_the_same_time_open_once_and_every_change_is_told_once() {
    explore(|| {
        let core = core(CircuitBreakerSettings { window: Window::Count(3), minimum_calls: 2, ..settings(1) });
        let mut events = core.events.subscribe();
        let calls = [(); 3].map(|()| {
            spawn(&core, |core| {
                let Ok(ticket) = core.acquire(|| ZERO) else { return false };
                record(core, ZERO, ticket, Outcome::Failure);
                true
            })
        });
        let made = calls.map(|call| u64::from(call.join().unwrap())).iter().sum::<u64>();
        let changes = told(&mut events);
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert_eq!((changes[0].from, changes[0].to, changes[0].generation), (State::Closed, State::Open, 1));
        let (generation, snapshot) = core.with(|machine| (machine.generation(), machine.snapshot(ZERO)));
        assert_eq!((generation, snapshot.attempt, snapshot.late), (1, 1, made - 2));
        assert_eq!(snapshot.refused_in_all, 3 - made);
    });
}

#[test]
fn loom_changes_by_hand_and_by_outcome_are_each_told_once() {
    explore(|| {
        let core = core(settings(1));
        let mut events = core.events.subscribe();
        let threads = [
            spawn(&core, |core| core.with(|machine| machine.force_open(ZERO))),
            spawn(&core, |core| core.with(|machine| machine.close(ZERO))),
            spawn(&core, |core| {
                if let Ok(ticket) = core.acquire(|| ZERO) {
                    record(core, ZERO, ticket, Outcome::Failure);
                }
            }),
        ];
        for thread in threads {
            thread.join().unwrap();
        }
        let changes = told(&mut events);
        let last = core.with(|machine| machine.generation());
        assert!(changes.iter().map(|change| change.generation).eq(1..=last), "{changes:?}");
        let may = state(&core) == State::Closed;
        assert_eq!(core.acquire(|| ZERO).is_ok(), may, "the admission word is not the machine's");
        assert!(changes.windows(2).all(|pair| pair[0].to == pair[1].from), "{changes:?}");
    });
}
