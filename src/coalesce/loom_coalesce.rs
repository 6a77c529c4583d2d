//! Every interleaving of a few threads over the shipped [`Groups`], up to three preemptions.
//!
//! ```text
//! RUSTFLAGS="--cfg steadfast_loom" cargo test --release --lib loom_
//! ```
//!
//! 1. There is one call of a key at a time: none is made before the one before it has ended or was dropped.
//! 2. Who follows and stays is told once: the outcome, or that it leads. It is woken for it exactly once.
//! 3. Whoever goes, at any moment, leaves nobody behind; when all are gone the key is free and nothing is counted any more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    task::Waker,
};

use futures::task::{ArcWake, waker};
use loom::thread;

use super::core::{After, Gauges, Groups, Joined, Seat, Told};

const HASH: u64 = 1;
const KEY: u32 = 7;
/// The outcome of a call.
const OUTCOME: u32 = 42;

type Calls = Groups<u32, Work, u32>;

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// Not seen by loom: it takes no part in the interleaving.
#[derive(Default)]
struct Woken(AtomicU32);

impl ArcWake for Woken {
    fn wake_by_ref(woken: &Arc<Self>) {
        woken.0.fetch_add(1, SeqCst);
    }
}

/// Calls there are at the moment, and all that there were. The former is seen by loom, so that something may come between
/// a group that ends and its call that does.
struct Service {
    running: loom::sync::atomic::AtomicU32,
    made: AtomicU32,
}

/// A call in progress.
struct Work(Arc<Service>);

impl Work {
    fn begin(service: &Arc<Service>) -> Self {
        assert_eq!(service.running.fetch_add(1, SeqCst), 0, "two calls at once");
        service.made.fetch_add(1, SeqCst);
        Self(Arc::clone(service))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
    }
}

struct World {
    groups: Calls,
    gauges: Arc<Gauges>,
    service: Arc<Service>,
}

impl World {
    fn new() -> Arc<Self> {
        let gauges = Arc::<Gauges>::default();
        let service = Service { running: loom::sync::atomic::AtomicU32::new(0), made: AtomicU32::new(0) };
        Arc::new(Self { groups: Groups::new(Arc::clone(&gauges)), gauges, service: Arc::new(service) })
    }

    fn is_empty(&self) -> bool {
        let Gauges { calls, waiting } = &*self.gauges;
        (calls.load(SeqCst), waiting.load(SeqCst), self.service.running.load(SeqCst)) == (0, 0, 0)
    }

    fn settle(&self, after: After<u32, Work>) {
        after.waker.into_iter().for_each(Waker::wake);
    }

    fn join(&self) -> Member {
        let woken = Arc::<Woken>::default();
        let waker = waker(Arc::clone(&woken));
        let role = match self.groups.join(HASH, KEY, &waker) {
            Joined::Leads { group, .. } => Role::Leads(group, Work::begin(&self.service)),
            Joined::Follows(seat) => Role::Follows(seat),
        };
        Member { role, woken, waker }
    }

    /// Ends the call as a leader does.
    fn finish(&self, group: u32, work: Work) {
        drop(work);
        let (others, after) = self.groups.over(group);
        self.settle(after);
        if others {
            let (count, after) = self.groups.close(group);
            self.settle(after);
            let mut wakers = Vec::new();
            let mut copies = std::iter::repeat_n(OUTCOME, count);
            let after = self.groups.tell(group, &mut copies, &mut wakers);
            self.settle(after);
            wakers.into_iter().for_each(Waker::wake);
        }
    }
}

enum Role {
    Leads(u32, Work),
    Follows(Seat),
}

struct Member {
    role: Role,
    woken: Arc<Woken>,
    waker: Waker,
}

impl Member {
    /// Takes what it has been told, if it has.
    fn heard(self, world: &World) -> Result<Heard, Self> {
        let seat = match self.role {
            Role::Leads(group, work) => return Ok(Heard::Leads(group, work)),
            Role::Follows(seat) => seat,
        };
        let told = world.groups.poll(seat, &self.waker);
        if told.is_some() {
            // It may have asked before it was woken, which then comes all the same.
            assert!(self.woken.0.load(SeqCst) <= 1, "woken twice");
        }
        match told {
            None => Err(self),
            Some(Told::Outcome(outcome)) => Ok(Heard::Outcome(outcome)),
            Some(Told::Lead(Some(work))) => Ok(Heard::Leads(seat.group(), work)),
            Some(Told::Lead(None)) => Ok(Heard::Leads(seat.group(), Work::begin(&world.service))),
        }
    }

    fn leave(self, world: &World) {
        let after = match self.role {
            Role::Leads(group, work) => world.groups.pass_on(group, Some(work)),
            Role::Follows(seat) => world.groups.leave(seat),
        };
        let After { waker, work, then, .. } = after;
        waker.into_iter().for_each(Waker::wake);
        drop(work);
        if let Some(group) = then {
            world.settle(world.groups.pass_on(group, None));
        }
    }
}

enum Heard {
    Leads(u32, Work),
    Outcome(u32),
}

/// All that are left are led to their end, by one thread; then nothing is left.
fn all_end(world: &World, mut members: Vec<Member>) {
    while !members.is_empty() {
        let mut waiting = Vec::new();
        let before = members.len();
        for member in members {
            // Whoever has to be told is woken; who is not, and does not lead, has nothing to hear.
            let woken = member.woken.0.load(SeqCst) > 0 || matches!(member.role, Role::Leads(..));
            match member.heard(world) {
                Ok(heard) => {
                    assert!(woken, "told without having been woken");
                    match heard {
                        Heard::Leads(group, work) => world.finish(group, work),
                        Heard::Outcome(outcome) => assert_eq!(outcome, OUTCOME),
                    }
                }
                Err(member) => {
                    assert!(!woken, "woken for nothing");
                    waiting.push(member);
                }
            }
        }
        members = waiting;
        assert!(members.len() < before, "somebody waits for ever");
    }
    assert!(world.is_empty(), "something is left");
    // The key is free.
    let Role::Leads(group, work) = world.join().role else { panic!("nobody is there to be waited for") };
    world.finish(group, work);
}

#[test]
fn who_joins_while_a_call_ends_gets_its_outcome_or_makes_a_new_one() {
    explore(|| {
        let world = World::new();
        let Role::Leads(group, work) = world.join().role else { panic!("the first leads") };
        let early = world.join();
        let joins = {
            let world = Arc::clone(&world);
            thread::spawn(move || world.join())
        };
        world.finish(group, work);
        let late = joins.join().unwrap();
        let made = world.service.made.load(SeqCst);
        all_end(&world, vec![early, late]);
        assert!(made <= 2);
    });
}

#[test]
fn who_joins_while_the_maker_leaves_goes_on_with_its_call_or_makes_a_new_one() {
    explore(|| {
        let world = World::new();
        let maker = world.join();
        let joins = {
            let world = Arc::clone(&world);
            // Makes its call at once if it leads, which is when the other's has been dropped.
            thread::spawn(move || world.join())
        };
        maker.leave(&world);
        let joined = joins.join().unwrap();
        all_end(&world, vec![joined]);
    });
}

#[test]
fn two_that_leave_at_once_leave_the_call_to_the_third() {
    explore(|| {
        let world = World::new();
        let (maker, second, third) = (world.join(), world.join(), world.join());
        let leaves = {
            let world = Arc::clone(&world);
            thread::spawn(move || second.leave(&world))
        };
        maker.leave(&world);
        leaves.join().unwrap();
        assert_eq!(world.service.running.load(SeqCst), 1, "the call goes on");
        all_end(&world, vec![third]);
        assert_eq!(world.service.made.load(SeqCst), 2, "it, and the one that looks whether the key is free");
    });
}

#[test]
fn all_that_leave_at_once_leave_nothing() {
    explore(|| {
        let world = World::new();
        let (maker, second, third) = (world.join(), world.join(), world.join());
        let leave = |member: Member| {
            let world = Arc::clone(&world);
            thread::spawn(move || member.leave(&world))
        };
        let threads = [leave(second), leave(third)];
        maker.leave(&world);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        all_end(&world, Vec::new());
    });
}

#[test]
fn who_leaves_while_the_call_ends_takes_nothing_from_the_others() {
    explore(|| {
        let world = World::new();
        let Role::Leads(group, work) = world.join().role else { panic!("the first leads") };
        let (second, third) = (world.join(), world.join());
        let leaves = {
            let world = Arc::clone(&world);
            thread::spawn(move || second.leave(&world))
        };
        world.finish(group, work);
        leaves.join().unwrap();
        all_end(&world, vec![third]);
    });
}

#[test]
fn who_asks_while_it_is_being_told_hears_of_it() {
    explore(|| {
        let world = World::new();
        let (maker, second, third) = (world.join(), world.join(), world.join());
        let asks = {
            let world = Arc::clone(&world);
            thread::spawn(move || match second.heard(&world) {
                Ok(Heard::Leads(group, work)) => {
                    world.finish(group, work);
                    None
                }
                Ok(Heard::Outcome(_)) => panic!("nobody has ended the call"),
                Err(member) => Some(member),
            })
        };
        maker.leave(&world);
        let second = asks.join().unwrap();
        all_end(&world, second.into_iter().chain([third]).collect());
    });
}
