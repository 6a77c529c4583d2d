//! Fault 15: time windows that keep a record per call. The work per call is counted in `src/circuit_breaker/window.rs`,
//! the locks per call (fault 16) in `src/sync.rs` and `src/circuit_breaker/service.rs`.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use futures::FutureExt;
use steadfast::circuit_breaker::CircuitBreaker;
use tower::{Layer, Service, service_fn};

use crate::support::SEC;

/// Counts what the present thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is passed on as it is; the counter neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations() -> u64 {
    ALLOCATIONS.get()
}

// 15
#[tokio::test(start_paused = true)]
async fn a_time_window_takes_no_more_memory_at_forty_thousand_calls_than_at_one() {
    let breaker = CircuitBreaker::builder().time_window(10 * SEC).failure_rate(1.0).build().unwrap();
    // Neither boxes nor awaits: whatever is allocated is the breaker's.
    let mut service = breaker.layer(service_fn(|fails: bool| {
        std::future::ready(if fails { Err(steadfast::Error::Inner("down")) } else { Ok(()) })
    }));
    let mut call = |number: u32| service.call_ready(number.is_multiple_of(10));
    call(1);
    let before = allocations();
    for number in 1..40_000 {
        call(number);
    }
    assert_eq!(allocations() - before, 0, "allocations of 40,000 calls in one second");
    tokio::time::advance(9 * SEC).await;
    let before = allocations();
    for number in 0..40_000 {
        call(number);
    }
    assert_eq!(allocations() - before, 0, "allocations of another 40,000 calls nine seconds later");
    let snapshot = breaker.handle().snapshot();
    assert_eq!((snapshot.recorded, snapshot.failed), (80_000, 8_000 - 1), "all are in the window");
}

/// Calls a service that is ready at once and answers at once.
trait CallReady<Req> {
    fn call_ready(&mut self, request: Req);
}

impl<S: Service<Req>, Req> CallReady<Req> for S {
    fn call_ready(&mut self, request: Req) {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(self.poll_ready(&mut cx).is_ready());
        assert!(self.call(request).now_or_never().is_some());
    }
}
