//! Every interleaving of a few threads over the shipped [`Places`], its queue and [`Job`], up to three preemptions.
//!
//! ```text
//! RUSTFLAGS="--cfg steadfast_loom" cargo test --release --lib loom_
//! ```
//!
//! 1. Never more places are taken than the limit in force when they are.
//! 2. Who waits is woken when its place is given, exactly once; when all is over nobody waits while there is room.
//! 3. Who stops waiting, at any moment, leaves the places as many as before.
//! 4. A change of the limit waits for nobody, and lets in who waits if there is room now.
//! 5. Blocking work is begun or dropped, once; its place ends once, after it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::Waker,
    time::Duration,
};

use futures::task::{ArcWake, waker};
use loom::thread::{self, JoinHandle};

use super::{
    Bulkhead, BulkheadHandle,
    core::{Asked, Places},
    job::Job,
    settings::{BulkheadSettings, Order},
};
use crate::queue::Place;

const NOW: Duration = Duration::ZERO;

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn settings(max_concurrent: u32) -> BulkheadSettings {
    BulkheadSettings { max_concurrent, max_waiting: 10, ..BulkheadSettings::default() }
}

fn places(max_concurrent: u32) -> Arc<Places> {
    Arc::new(Places::new(&settings(max_concurrent)))
}

fn spawn<T: 'static>(places: &Arc<Places>, run: impl FnOnce(&Places) -> T + 'static) -> JoinHandle<T> {
    let places = Arc::clone(places);
    thread::spawn(move || run(&places))
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
    place: Option<Place>,
    woken: Arc<Woken>,
    waker: Waker,
}

impl Call {
    fn ask(places: &Places) -> Self {
        let woken = Arc::<Woken>::default();
        let waker = waker(Arc::clone(&woken));
        let place = match places.ask(&waker, || NOW) {
            Asked::Taken => None,
            Asked::Waiting { place, .. } => Some(place),
            Asked::Full => panic!("there is room in the queue"),
        };
        Self { place, woken, waker }
    }

    /// Whether it has a place, of which it has been told if it had to wait.
    fn has_place(&self, places: &Places) -> bool {
        let Some(place) = self.place else { return true };
        let given = places.poll(place, &self.waker);
        assert_eq!(
            self.woken.0.load(Ordering::Relaxed),
            u32::from(given),
            "woken when its place is given, and only then"
        );
        given
    }

    /// Is dropped: a place that it has goes back.
    fn leave(self, places: &Places) {
        if self.place.is_none_or(|place| !places.leave(place)) {
            places.give_back(|| NOW);
        }
    }
}

/// Nobody waits while there is room; then all calls end one after the other, and nothing is left.
fn all_end(places: &Places, mut calls: Vec<Call>, limit: u32) {
    while !calls.is_empty() {
        assert!(places.taken() <= limit, "{} of {limit} places", places.taken());
        let running = calls.iter().position(|call| call.has_place(places)).expect("somebody has a place");
        let with_place = calls.iter().filter(|call| call.has_place(places)).count();
        assert_eq!(places.taken() as usize, with_place, "each place taken is somebody's");
        assert!(places.waiting() == 0 || places.taken() == limit, "somebody waits while there is room");
        calls.swap_remove(running);
        places.give_back(|| NOW);
    }
    assert_eq!((places.taken(), places.waiting()), (0, 0));
    for _ in 0..limit {
        assert!(places.try_take(), "a place was lost");
    }
    assert!(!places.try_take(), "a place was made");
}

fn joined<T>(threads: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

/// Other settings, as a handle changes them.
fn change(places: &Places, settings: &BulkheadSettings, publish: impl FnOnce()) {
    places.change(settings, NOW, publish);
    places.hand_out(NOW);
}

#[test]
fn loom_a_place_given_back_reaches_who_waits() {
    explore(|| {
        let places = places(1);
        assert!(places.try_take());
        let calls = [(); 2].map(|()| spawn(&places, Call::ask));
        places.give_back(|| NOW);
        all_end(&places, joined(calls), 1);
    });
}

#[test]
fn loom_two_places_given_back_at_once_reach_two_who_wait() {
    explore(|| {
        let places = places(2);
        assert!(places.try_take() && places.try_take());
        let asks = spawn(&places, Call::ask);
        let gives = spawn(&places, |places| places.give_back(|| NOW));
        let waits = Call::ask(&places);
        places.give_back(|| NOW);
        gives.join().unwrap();
        all_end(&places, vec![waits, asks.join().unwrap()], 2);
    });
}

#[test]
fn loom_nobody_overtakes_or_exceeds_without_the_lock() {
    explore(|| {
        let places = places(1);
        assert!(places.try_take());
        let waits = Call::ask(&places);
        let takes = spawn(&places, Places::try_take);
        let asks = spawn(&places, Call::ask);
        places.give_back(|| NOW);
        assert!(waits.has_place(&places), "it was first in line");
        assert!(!takes.join().unwrap(), "somebody waited");
        all_end(&places, vec![waits, asks.join().unwrap()], 1);
    });
}

#[test]
fn loom_who_leaves_at_any_moment_neither_loses_nor_makes_a_place() {
    for order in [Order::Fifo, Order::Lifo] {
        explore(move || {
            let places = Arc::new(Places::new(&BulkheadSettings { order, ..settings(1) }));
            assert!(places.try_take());
            let leaves = Call::ask(&places);
            let stays = Call::ask(&places);
            let leaver = spawn(&places, |places| leaves.leave(places));
            let gives = spawn(&places, |places| places.give_back(|| NOW));
            leaver.join().unwrap();
            gives.join().unwrap();
            assert!(stays.has_place(&places), "nobody else wants it");
            all_end(&places, vec![stays], 1);
        });
    }
}

#[test]
fn loom_who_asks_and_leaves_while_others_do_too_leaves_everything_as_it_was() {
    explore(|| {
        let places = places(1);
        let fleeting = [(); 2].map(|()| spawn(&places, |places| Call::ask(places).leave(places)));
        let takes = spawn(&places, |places| {
            if places.try_take() {
                places.give_back(|| NOW);
            }
        });
        joined(fleeting);
        takes.join().unwrap();
        all_end(&places, Vec::new(), 1);
    });
}

#[test]
fn loom_a_higher_limit_lets_in_who_waits() {
    explore(|| {
        let places = places(1);
        assert!(places.try_take());
        let asks = [(); 2].map(|()| spawn(&places, Call::ask));
        change(&places, &settings(2), || {});
        let calls = joined(asks);
        assert_eq!(calls.iter().filter(|call| call.has_place(&places)).count(), 1);
        places.give_back(|| NOW);
        all_end(&places, calls, 2);
    });
}

#[test]
fn loom_a_lower_limit_is_never_exceeded_once_it_is_set() {
    explore(|| {
        let places = places(2);
        assert!(places.try_take() && places.try_take());
        let waits = Call::ask(&places);
        let gives = spawn(&places, |places| {
            places.give_back(|| NOW);
            places.give_back(|| NOW);
        });
        let tries = spawn(&places, |places| {
            if places.try_take() {
                assert!(places.taken() <= 2);
                places.give_back(|| NOW);
            }
        });
        change(&places, &settings(1), || {});
        // Places taken before are still out, but whatever is taken from now on is within the new limit.
        if places.try_take() {
            assert_eq!(places.taken(), 1, "over the limit in force");
            places.give_back(|| NOW);
        }
        gives.join().unwrap();
        tries.join().unwrap();
        all_end(&places, vec![waits], 1);
    });
}

#[test]
fn loom_between_two_limits_there_is_no_third() {
    explore(|| {
        let places = places(1);
        let changes = spawn(&places, |places| change(places, &settings(2), || {}));
        let taken = (0..3).filter(|_| places.try_take()).count();
        assert!((1..=2).contains(&taken), "{taken} places by limits of 1 and 2");
        changes.join().unwrap();
    });
}

#[test]
fn loom_changes_at_the_same_time_leave_one_of_them() {
    explore(|| {
        let places = places(1);
        assert!(places.try_take());
        let waits = Call::ask(&places);
        let published = Arc::new(loom::sync::atomic::AtomicU32::new(1));
        let changes = [2, 3].map(|limit| {
            let published = Arc::clone(&published);
            spawn(&places, move |places| {
                change(&places, &settings(limit), || published.store(limit, Ordering::Relaxed));
            })
        });
        places.give_back(|| NOW);
        joined(changes);
        // The limit is that of the settings that were published last.
        all_end(&places, vec![waits], published.load(Ordering::Relaxed));
    });
}

/// Work that counts how it ends: begun, or dropped before that. Not seen by loom either.
struct Work {
    bulkhead: BulkheadHandle,
    ends: Arc<[AtomicU32; 2]>,
    runs: Arc<AtomicBool>,
    begun: bool,
}

impl Work {
    fn run(mut self) -> Option<()> {
        self.begun = true;
        self.runs.store(true, Ordering::Relaxed);
        assert_eq!(self.bulkhead.snapshot().running, 1, "it has a place");
        self.runs.store(false, Ordering::Relaxed);
        Some(())
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.ends[usize::from(self.begun)].fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn loom_blocking_work_is_begun_or_dropped_once_and_its_place_ends_once() {
    // A thread gets to it, or the runtime drops it.
    for thread_gets_to_it in [true, false] {
        explore(move || {
            let bulkhead = Bulkhead::builder(1).build().unwrap().handle();
            let (ends, runs) = (Arc::<[AtomicU32; 2]>::default(), Arc::<AtomicBool>::default());
            let work =
                Work { bulkhead: bulkhead.clone(), ends: Arc::clone(&ends), runs: Arc::clone(&runs), begun: false };
            let (job, handed) = Job::new(work, bulkhead.try_acquire().unwrap());
            let pool = thread::spawn(move || if thread_gets_to_it { handed.run(Work::run) } else { None });
            let other = bulkhead.clone();
            let other = thread::spawn(move || {
                let permit = other.try_acquire();
                assert!(permit.is_err() || !runs.load(Ordering::Relaxed), "two at once");
            });
            // Its deadline passes; then the future is dropped.
            let given_up = job.take().is_some();
            assert!(job.take().is_none());
            let output = pool.join().unwrap();
            other.join().unwrap();
            assert_eq!(output.is_some(), !given_up);
            assert_eq!(
                [0, 1].map(|begun| ends[begun].load(Ordering::Relaxed)),
                [u32::from(given_up), u32::from(!given_up)]
            );
            assert_eq!(bulkhead.snapshot().running, 0);
            let _permit = bulkhead.try_acquire().expect("a place was lost");
            assert!(bulkhead.try_acquire().is_err(), "a place was made");
        });
    }
}
