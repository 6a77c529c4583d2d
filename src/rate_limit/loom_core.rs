//! Every interleaving of a few threads over the shipped [`Core`] and its queue, up to three preemptions.
//!
//! ```text
//! RUSTFLAGS="--cfg steadfast_loom" cargo test --release --lib loom_
//! ```
//!
//! 1. The first of those that wait has been told when it is due, or has been woken to ask, whoever came, went or
//!    changed the settings at the same time: there is always somebody with a timer.
//! 2. No more go than there are turns, and nobody overtakes who waits.
//! 3. A turn that is not used passes on, once.
//! 4. A reserved permission that is given back can be had again, once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
    time::Duration,
};

use futures::task::{ArcWake, waker};
use loom::thread::{self, JoinHandle};

use super::{
    core::{Asked, Core, Stands},
    settings::{Mode, RateLimitSettings},
};
use crate::queue::Place;

const SECOND: Duration = Duration::from_secs(1);
/// By when a timer has fired for what is due after one second.
const DUE: Duration = Duration::from_millis(1001);

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// One call a second, without a burst.
fn settings() -> RateLimitSettings {
    RateLimitSettings { max_wait: Duration::from_secs(60), ..RateLimitSettings::new(1, SECOND) }
}

/// A limiter whose turn at time zero has been taken.
fn core(settings: RateLimitSettings) -> Arc<Core> {
    let core = Core::new(settings);
    core.try_take(Duration::ZERO).unwrap();
    Arc::new(core)
}

fn spawn<T: 'static>(core: &Arc<Core>, run: impl FnOnce(&Core) -> T + 'static) -> JoinHandle<T> {
    let core = Arc::clone(core);
    thread::spawn(move || run(&core))
}

/// Set while it is to ask. Not seen by loom: it takes no part in the interleaving.
struct Told(AtomicBool);

impl ArcWake for Told {
    fn wake_by_ref(told: &Arc<Self>) {
        told.0.store(true, Ordering::Relaxed);
    }
}

/// A call that waits.
struct Call {
    place: Place,
    told: Arc<Told>,
    waker: Waker,
    /// It has a timer for then.
    timer: Option<Duration>,
}

impl Call {
    fn ask(core: &Core) -> Self {
        let told = Arc::new(Told(AtomicBool::new(false)));
        let waker = waker(Arc::clone(&told));
        match core.ask(Duration::ZERO, None, &waker) {
            Asked::Queued { place, due, .. } => Self { place, told, waker, timer: due },
            other => panic!("{other:?}"),
        }
    }

    /// Asks, as its task does when it has been woken or its timer has fired.
    fn goes(&mut self, core: &Core, now: Duration) -> bool {
        self.told.0.store(false, Ordering::Relaxed);
        match core.poll(now, self.place, &self.waker) {
            Stands::Go => return true,
            Stands::First { due } => self.timer = Some(due),
            Stands::Behind => self.timer = None,
        }
        false
    }

    fn is_told(&self) -> bool {
        self.told.0.load(Ordering::Relaxed)
    }
}

/// Runs those that wait as an executor would: each asks when it has been told to or its timer fires, and only then.
/// Returns when each of them went.
fn run(core: &Core, mut calls: Vec<Call>, mut now: Duration) -> Vec<Duration> {
    let mut went = Vec::new();
    while !calls.is_empty() {
        let mut to_ask = calls.iter().position(|call| call.is_told());
        if to_ask.is_none() {
            let timers = calls.iter().enumerate().filter_map(|(at, call)| Some((call.timer?, at)));
            let (due, first) = timers.min().expect("those that wait would wait for ever");
            now = now.max(due);
            to_ask = Some(first);
        }
        let at = to_ask.expect("just found");
        if calls[at].goes(core, now) {
            calls.remove(at);
            went.push(now);
        }
    }
    assert_eq!(core.look(now).0, 0);
    went
}

fn millis(times: &[Duration]) -> Vec<u128> {
    times.iter().map(Duration::as_millis).collect()
}

#[test]
fn loom_those_that_come_at_once_go_one_by_one() {
    explore(|| {
        let core = core(settings());
        let calls = [(); 3].map(|()| spawn(&core, Call::ask));
        let calls = calls.map(|call| call.join().unwrap()).into();
        assert_eq!(millis(&run(&core, calls, Duration::ZERO)), [1000, 2000, 3000]);
    });
}

#[test]
fn loom_no_two_get_one_turn_and_nobody_overtakes() {
    explore(|| {
        let core = core(settings());
        let (mut first, mut second) = (Call::ask(&core), Call::ask(&core));
        let first = spawn(&core, move |core| (first.goes(core, DUE), first));
        let second = spawn(&core, move |core| (second.goes(core, DUE), second));
        let overtakes = core.try_take(DUE);
        let ((first, _), (goes, second)) = (first.join().unwrap(), second.join().unwrap());
        assert!(first && !goes && overtakes.is_err());
        assert_eq!(millis(&run(&core, vec![second], DUE)), [2000]);
    });
}

#[test]
fn loom_a_place_that_is_left_passes_on() {
    for leaving in 0..3 {
        explore(move || {
            let core = core(settings());
            let mut calls: Vec<_> = (0..3).map(|_| Call::ask(&core)).collect();
            let left = calls.remove(leaving).place;
            let leaves = spawn(&core, move |core| core.leave(DUE, left));
            let mut first = calls.remove(0);
            let asks = spawn(&core, move |core| (first.goes(core, DUE), first));
            leaves.join().unwrap();
            let (goes, first) = asks.join().unwrap();
            let mut went = vec![DUE; usize::from(goes)];
            calls.extend((!goes).then_some(first));
            calls.sort_by_key(|call| call.place.number());
            went.extend(run(&core, calls, DUE));
            assert_eq!(millis(&went), [1001, 2000], "{leaving} of 3 left");
        });
    }
}

#[test]
fn loom_a_turn_that_came_and_is_not_used_passes_on_once() {
    explore(|| {
        let core = core(settings());
        let (first, second, third) = (Call::ask(&core), Call::ask(&core), Call::ask(&core));
        // Somebody else's question lets the first go, and then it is dropped.
        let left = first.place;
        let asks = spawn(&core, |core| core.try_take(DUE).is_ok());
        let leaves = spawn(&core, move |core| core.leave(DUE, left));
        assert!(!asks.join().unwrap());
        leaves.join().unwrap();
        assert_eq!(millis(&run(&core, vec![second, third], DUE)), [1001, 2000]);
    });
}

#[test]
fn loom_after_a_change_somebody_has_a_timer() {
    explore(|| {
        let core = core(settings());
        let (mut first, second) = (Call::ask(&core), Call::ask(&core));
        let asks = spawn(&core, move |core| (first.goes(core, Duration::ZERO), first));
        let changes = spawn(&core, |core| core.change(Duration::ZERO, RateLimitSettings { limit: 10, ..settings() }));
        let left = second.place;
        let third = Call::ask(&core);
        let leaves = spawn(&core, move |core| core.leave(Duration::ZERO, left));
        changes.join().unwrap();
        leaves.join().unwrap();
        let (goes, first) = asks.join().unwrap();
        assert!(!goes);
        assert_eq!(millis(&run(&core, vec![first, third], Duration::ZERO)), [100, 200]);
    });
}

#[test]
fn loom_who_gives_up_when_its_turn_comes_passes_it_on() {
    explore(|| {
        let core = core(settings());
        let (first, second, third) = (Call::ask(&core), Call::ask(&core), Call::ask(&core));
        let (left, mut second) = (first.place, second);
        let gives_up = spawn(&core, move |core| core.give_up(DUE, left));
        let asks = spawn(&core, move |core| (second.goes(core, DUE), second));
        let at = gives_up.join().unwrap();
        assert!(at >= DUE, "there are others in line: {at:?}");
        let (goes, second) = asks.join().unwrap();
        let mut went = vec![DUE; usize::from(goes)];
        went.extend(run(&core, (!goes).then_some(second).into_iter().chain([third]).collect(), DUE));
        assert_eq!(millis(&went), [1001, 2000]);
    });
}

#[test]
fn loom_a_reserved_permission_is_given_back_once() {
    explore(|| {
        let core = core(RateLimitSettings { mode: Mode::Cycles, ..settings() });
        let reserve = |core: &Core| match core.ask(Duration::ZERO, None, Waker::noop()) {
            Asked::Reserved { at, epoch } => (at, epoch),
            other => panic!("{other:?}"),
        };
        let (at, epoch) = reserve(&core);
        let gives_back = spawn(&core, move |core| core.give_back(Duration::ZERO, at, epoch));
        let reserves = spawn(&core, move |core| reserve(core).0);
        let reserved = reserves.join().unwrap();
        gives_back.join().unwrap();
        // It is lost if a later one was reserved by then, or that one would be given to two.
        assert_eq!(reserve(&core).0, reserved + SECOND);
    });
}
