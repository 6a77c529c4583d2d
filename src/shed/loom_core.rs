//! Every interleaving of a few threads over the shipped [`Core`] and its line, up to three preemptions.
//!
//! ```text
//! RUSTFLAGS="--cfg steadfast_loom" cargo test --release --lib loom_
//! ```
//!
//! 1. Never more places are taken than the limit in force when they are.
//! 2. Who waits is woken when it is given a place or shed, exactly once; when all is over nobody waits while there is room.
//! 3. Who stops waiting, at any moment, leaves the places as many as before.
//! 4. A change of the limit waits for nobody, and lets in who waits if there is room now.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::Waker,
    time::Duration,
};

use futures::task::{ArcWake, waker};
use loom::thread::{self, JoinHandle};

use super::{
    class::Class,
    core::{Asked, Core},
    handle::Cause,
    line::{Call as Asks, Standing},
    settings::ShedSettings,
};
use crate::{Priority, slots::Ticket};

const NOW: Duration = Duration::ZERO;

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn core(max_concurrent: u32, max_waiting: u32) -> Arc<Core> {
    Arc::new(Core::new(&ShedSettings { max_concurrent, max_waiting, ..ShedSettings::default() }, 1))
}

fn spawn<T: 'static>(core: &Arc<Core>, run: impl FnOnce(&Core) -> T + 'static) -> JoinHandle<T> {
    let core = Arc::clone(core);
    thread::spawn(move || run(&core))
}

fn give_back(core: &Core) {
    core.give_back(None, || NOW, &|_| ());
}

/// Counts how often it was woken. Not seen by loom: it takes no part in the interleaving.
#[derive(Default)]
struct Woken(AtomicU32);

impl ArcWake for Woken {
    fn wake_by_ref(woken: &Arc<Self>) {
        woken.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A call that has asked for a place.
struct Call {
    state: State,
    woken: Arc<Woken>,
    waker: Waker,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Waits(Ticket),
    HasPlace,
    Refused,
}

impl Call {
    fn ask(core: &Core) -> Self {
        Self::of(core, Priority::Normal)
    }

    fn of(core: &Core, priority: Priority) -> Self {
        let woken = Arc::<Woken>::default();
        let waker = waker(Arc::clone(&woken));
        let call = Asks { class: Class::new(priority, false), flow: 0, deadline: None };
        let state = match core.ask(NOW, call, waker.clone(), &|_| ()) {
            Asked::Taken => State::HasPlace,
            Asked::Waiting(ticket, _) => State::Waits(ticket),
            Asked::Refused => State::Refused,
        };
        Self { state, woken, waker }
    }

    /// How it stands with it, of which it has been told if it had to wait.
    fn look(&mut self, core: &Core) -> State {
        let State::Waits(ticket) = self.state else { return self.state };
        let woken = self.woken.0.load(Ordering::Relaxed);
        match core.poll(ticket, &self.waker) {
            None => assert_eq!(woken, 0, "woken for nothing"),
            Some(standing) => {
                assert_eq!(woken, 1, "woken when there is an answer, once");
                self.state = match standing {
                    Standing::Given(_) => State::HasPlace,
                    Standing::Shed(Cause::Full) => State::Refused,
                    other => panic!("{other:?}"),
                };
            }
        }
        self.state
    }

    /// Is dropped: a place that it has goes back.
    fn leave(self, core: &Core) {
        let has_place = match self.state {
            State::Waits(ticket) => core.leave(ticket).is_some(),
            state => state == State::HasPlace,
        };
        if has_place {
            give_back(core);
        }
    }
}

fn waiting(core: &Core) -> usize {
    core.read(NOW, &|_| (), |line, _| line.waiting())
}

/// Nobody waits while there is room; then all calls end one after the other, and nothing is left.
fn all_end(core: &Core, mut calls: Vec<Call>, limit: u32) {
    calls.retain_mut(|call| call.look(core) != State::Refused);
    while !calls.is_empty() {
        assert!(core.taken() <= limit, "{} of {limit} places", core.taken());
        let running =
            calls.iter_mut().position(|call| call.look(core) == State::HasPlace).expect("somebody has a place");
        let with_place = calls.iter_mut().filter_map(|call| (call.look(core) == State::HasPlace).then_some(())).count();
        assert_eq!(core.taken() as usize, with_place, "each place taken is somebody's");
        assert!(waiting(core) == 0 || core.taken() == limit, "somebody waits while there is room");
        calls.swap_remove(running);
        give_back(core);
    }
    assert_eq!((core.taken(), waiting(core)), (0, 0));
    for _ in 0..limit {
        assert!(core.try_take(), "a place was lost");
    }
    assert!(!core.try_take(), "a place was made");
}

fn joined<T>(threads: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

#[test]
fn loom_shed_a_place_given_back_reaches_who_waits() {
    explore(|| {
        let core = core(1, 10);
        assert!(core.try_take());
        let calls = [(); 2].map(|()| spawn(&core, Call::ask));
        give_back(&core);
        all_end(&core, joined(calls), 1);
    });
}

#[test]
fn loom_shed_two_places_given_back_at_once_reach_two_who_wait() {
    explore(|| {
        let core = core(2, 10);
        assert!(core.try_take() && core.try_take());
        let asks = spawn(&core, Call::ask);
        let gives = spawn(&core, give_back);
        let waits = Call::ask(&core);
        give_back(&core);
        gives.join().unwrap();
        all_end(&core, vec![waits, asks.join().unwrap()], 2);
    });
}

#[test]
fn loom_shed_one_less_important_makes_room_while_a_place_is_given_back() {
    explore(|| {
        let core = core(1, 1);
        assert!(core.try_take());
        let sheddable = Call::of(&core, Priority::Sheddable);
        let critical = spawn(&core, |core| Call::of(core, Priority::Critical));
        give_back(&core);
        let mut critical = critical.join().unwrap();
        assert_ne!(critical.look(&core), State::Refused);
        all_end(&core, vec![sheddable, critical], 1);
    });
}

#[test]
fn loom_shed_who_is_shed_and_leaves_at_once_is_gone() {
    explore(|| {
        let core = core(1, 1);
        assert!(core.try_take());
        let sheddable = Call::of(&core, Priority::Sheddable);
        let critical = spawn(&core, |core| Call::of(core, Priority::Critical));
        sheddable.leave(&core);
        let critical = critical.join().unwrap();
        give_back(&core);
        all_end(&core, vec![critical], 1);
    });
}

#[test]
fn loom_shed_who_leaves_while_a_place_is_given_to_it_passes_it_on() {
    explore(|| {
        let core = core(1, 10);
        assert!(core.try_take());
        let (leaves, stays) = (Call::ask(&core), Call::ask(&core));
        let gives = spawn(&core, give_back);
        leaves.leave(&core);
        gives.join().unwrap();
        all_end(&core, vec![stays], 1);
    });
}

#[test]
fn loom_shed_nobody_overtakes_and_a_place_is_taken_without_the_line_only_if_nobody_waits() {
    explore(|| {
        let core = core(1, 10);
        assert!(core.try_take());
        let mut waits = Call::ask(&core);
        let overtakes = spawn(&core, |core| core.try_take());
        give_back(&core);
        assert!(!overtakes.join().unwrap(), "somebody was waiting");
        assert_eq!(waits.look(&core), State::HasPlace);
        all_end(&core, vec![waits], 1);
    });
}

#[test]
fn loom_shed_a_limit_that_changes_while_places_go_round_is_kept() {
    explore(|| {
        let core = core(1, 10);
        assert!(core.try_take());
        let asks = spawn(&core, Call::ask);
        let gives = spawn(&core, give_back);
        let settings = ShedSettings { max_concurrent: 2, max_waiting: 10, ..ShedSettings::default() };
        core.change(&settings, NOW, || (), &|_| ());
        gives.join().unwrap();
        all_end(&core, vec![asks.join().unwrap(), Call::ask(&core)], 2);
    });
}
