//! Counts allocations: a call that is let through and succeeds makes none in any layer, nor does a typed refusal.

mod failover;
mod inner;
mod layers;
mod passes;
mod pressure;
mod refusals;
mod shared;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    fmt::Debug,
    future::Future,
    hint::black_box,
    time::Duration,
};

use steadfast::{Error, Rejected, RejectedKind};
use tower::{Layer, Service, ServiceExt};

use crate::{
    inner::Inner,
    layers::{name, stack},
};

// ## The allocator

struct Counting;

thread_local! {
    /// Of this thread, which is the test's own. Neither made on the heap nor dropped.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    /// Those that are held now.
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

impl Counting {
    fn count(bytes: isize) {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        Self::hold(bytes);
    }

    fn hold(bytes: isize) {
        BYTES.set(BYTES.get().wrapping_add(bytes));
    }
}

// SAFETY: all of it is the system's allocator, but for a counter that does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size() as isize);
        // SAFETY: as for this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size() as isize);
        // SAFETY: as for this function.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count(size as isize - layout.size() as isize);
        // SAFETY: as for this function.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        Self::hold(-(layout.size() as isize));
        // SAFETY: as for this function.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The allocations that `future` makes until it is ready and dropped.
async fn counted<F: Future>(future: F) -> (F::Output, u64) {
    let before = ALLOCATIONS.get();
    let output = future.await;
    (output, ALLOCATIONS.get() - before)
}

/// The bytes that what this makes holds.
fn held_by<T>(make: impl FnOnce() -> T) -> (T, isize) {
    let before = BYTES.get();
    let made = make();
    (made, BYTES.get() - before)
}

// ## Measuring

/// A service's own error.
#[derive(Debug)]
struct Foreign;

type Typed = Error<Foreign>;

const CALLS: u64 = 500;

/// Checks the outcomes and the allocations of calls by one service and by clones of it, once it is warm.
async fn assert_allocates<S, F>(per_call: u64, what: &str, service: &S, is_right: F)
where
    S: Service<u32> + Clone,
    F: Fn(&Result<S::Response, S::Error>) -> bool,
    Result<S::Response, S::Error>: Debug,
{
    let mut long_lived = service.clone();
    let mut spent = (0, 0);
    for call in 0..2 * CALLS {
        let (outcome, by_long_lived) = counted(async { long_lived.ready().await?.call(7).await }).await;
        assert!(is_right(&outcome), "{what}: {outcome:?}");
        drop(outcome);
        let (outcome, by_clone) = counted(service.clone().oneshot(7)).await;
        assert!(is_right(&outcome), "{what}: {outcome:?}");
        // The first half is to warm up: thread-locals, the timer wheel. Windows slide as time passes.
        if call >= CALLS {
            spent = (spent.0 + by_long_lived, spent.1 + by_clone);
        }
        if call % 50 == 0 {
            tokio::time::advance(Duration::from_millis(700)).await;
        }
    }
    let expected = (CALLS * per_call, CALLS * per_call);
    assert_eq!(spent, expected, "{what}: allocations of {CALLS} calls by one service, and by its clones");
}

/// Calls that succeed allocate nothing over any inner service.
async fn assert_free<L>(what: &str, layer: &L)
where
    L: Layer<Inner<Typed>, Service: Service<u32, Response = u32, Error = Typed> + Clone>,
{
    for (pending, unready) in [(false, false), (true, false), (true, true)] {
        let inner = Inner { unready, ..Inner::new(pending) };
        let what = format!("{what}, pending {pending}, unready {unready}");
        assert_allocates(0, &what, &layer.layer(inner), |outcome| matches!(outcome, Ok(7))).await;
    }
}

// ## That it would be seen

#[tokio::test(start_paused = true)]
async fn a_service_that_allocates_is_seen() {
    let inner = Inner { allocates: true, ..Inner::<Typed>::new(true) };
    assert_allocates(1, "alone", &inner, Result::is_ok).await;
    assert_allocates(1, "in a stack", &stack().layer(inner), Result::is_ok).await;
    let kind = RejectedKind::CircuitOpen;
    let (_, made) = counted(async { black_box(Rejected::new(kind, black_box(name("breaker")))) }).await;
    assert!(made >= 2, "the name as a `String`, then as an `Arc<str>`: {made}");
}
