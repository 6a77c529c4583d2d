//! Whether calls may come to an endpoint, and whether the last one has left. Atomics only.
//!
//! Who shuts it looks at the calls in flight after that, and who comes looks at the gate after it was counted, so that one of
//! the two sees the other. Whoever is the last to leave a gate that is shut tells the one who waits, and so does a call that
//! found it shut: for a moment it was counted.

use super::load::Load;
use crate::sync::atomic::{
    AtomicBool,
    Ordering::{Relaxed, SeqCst},
    fence,
};

#[derive(Debug)]
pub(super) struct Gate {
    shut: AtomicBool,
}

/// The last one has left a gate that is shut, and somebody wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Last;

impl Gate {
    pub(super) fn open() -> Self {
        Self { shut: AtomicBool::new(false) }
    }

    /// A call comes, and is counted in `load`. `Err`: it may not.
    #[inline]
    pub(super) fn enter(&self, load: &Load) -> Result<(), Option<Last>> {
        load.begin();
        fence(SeqCst);
        if self.shut.load(Relaxed) { Err(self.leave(load)) } else { Ok(()) }
    }

    /// A call that has come is over.
    #[inline]
    pub(super) fn leave(&self, load: &Load) -> Option<Last> {
        load.end();
        fence(SeqCst);
        (self.shut.load(Relaxed) && load.in_flight() == 0).then_some(Last)
    }

    /// From now on no call comes, or all may.
    pub(super) fn set(&self, shut: bool) {
        self.shut.store(shut, Relaxed);
        fence(SeqCst);
    }
}

/// `RUSTFLAGS="--cfg steadfast_loom" cargo test --release --lib loom_`
#[cfg(all(test, steadfast_loom))]
mod loom_gate {
    use loom::{
        sync::{
            Arc,
            atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
        },
        thread,
    };

    use super::*;

    struct Endpoint {
        gate: Gate,
        load: Load,
        told: AtomicBool,
        /// Whoever waited knows that nobody is there.
        empty: AtomicBool,
        calls: AtomicU32,
    }

    impl Endpoint {
        fn call(&self) {
            let last = match self.gate.enter(&self.load) {
                Ok(()) => {
                    assert!(!self.empty.load(SeqCst), "a call came after it was said that none does");
                    self.calls.fetch_add(1, SeqCst);
                    assert!(!self.empty.load(SeqCst), "it was said that nobody is there during a call");
                    self.gate.leave(&self.load)
                }
                Err(last) => last,
            };
            if last.is_some() {
                self.told.store(true, SeqCst);
            }
        }
    }

    #[test]
    fn loom_who_drains_an_endpoint_is_told_when_the_last_call_has_left_and_not_before() {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(|| {
            let endpoint = Arc::new(Endpoint {
                gate: Gate::open(),
                load: Load::new(),
                told: AtomicBool::new(false),
                empty: AtomicBool::new(false),
                calls: AtomicU32::new(0),
            });
            let callers: Vec<_> = (0..2)
                .map(|_| {
                    let endpoint = Arc::clone(&endpoint);
                    thread::spawn(move || endpoint.call())
                })
                .collect();
            endpoint.gate.set(true);
            let empty = endpoint.load.in_flight() == 0;
            endpoint.empty.store(empty, SeqCst);
            callers.into_iter().for_each(|caller| caller.join().unwrap());
            assert!(empty || endpoint.told.load(SeqCst), "it waits for ever");
            assert_eq!(endpoint.load.in_flight(), 0);
        });
    }
}
