//! Ten thousand calls that wait in one bulkhead and in one limiter: their order, how often each is polled, and the
//! memory that it takes.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use steadfast::{Rejected, bulkhead::Bulkhead, rate_limit::RateLimit};
use tower::{Layer, Service};

struct Counting;

thread_local! {
    /// Bytes in use of this thread, which is the test's own.
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

// SAFETY: all of it is the system's allocator, but for a counter that does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.set(BYTES.get() + layout.size() as isize);
        // SAFETY: as for this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        BYTES.set(BYTES.get() - layout.size() as isize);
        // SAFETY: as for this function.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CALLS: u32 = 10_000;

/// Notes the order of calls, and ends each after one turn of the executor.
#[derive(Clone, Default)]
struct Order(Arc<Mutex<Vec<u32>>>);

impl Service<u32> for Order {
    type Response = ();
    type Error = Infallible;
    type Future = Once;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, number: u32) -> Once {
        self.0.lock().unwrap().push(number);
        Once(false)
    }
}

struct Once(bool);

impl Future for Once {
    type Output = Result<(), Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Counts how often it is polled.
struct Polls<F>(Pin<Box<F>>, u32, Arc<AtomicU32>);

impl<F: Future> Future for Polls<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.1 += 1;
        self.2.fetch_max(self.1, Ordering::Relaxed);
        self.0.as_mut().poll(cx)
    }
}

/// The most polls that any of ten thousand calls took; all went, in the order in which they came.
async fn most_polls<L>(layer: &L) -> u32
where
    L: Layer<Order>,
    L::Service: Service<u32, Response = (), Error = Rejected, Future: Send + 'static> + Clone,
{
    let (order, most) = (Order::default(), Arc::new(AtomicU32::new(0)));
    let mut service = layer.layer(order.clone());
    let calls: Vec<_> =
        (0..CALLS).map(|number| tokio::spawn(Polls(Box::pin(service.call(number)), 0, Arc::clone(&most)))).collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(*order.0.lock().unwrap(), (0..CALLS).collect::<Vec<_>>());
    most.load(Ordering::Relaxed)
}

/// Bytes in the queue and in the future of each that waits; all of the queue is given back.
fn bytes<L>(layer: &L) -> (isize, usize)
where
    L: Layer<Order>,
    L::Service: Service<u32, Response = (), Error = Rejected> + Clone,
{
    let mut service = layer.layer(Order::default());
    let mut calls: Vec<_> = (0..CALLS).map(|number| Box::pin(service.call(number))).collect();
    let before = BYTES.get();
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(calls.iter_mut().all(|call| call.as_mut().poll(&mut cx).is_pending()));
    let in_queue = (BYTES.get() - before) / CALLS as isize;
    let in_future = size_of_val(&*calls[0]);
    let kept = BYTES.get();
    let futures = (in_future * CALLS as usize + size_of_val(&*calls)) as isize;
    drop(calls);
    let left = BYTES.get() - (kept - futures) + in_queue * CALLS as isize;
    assert!(left < 10_000, "{left} bytes are kept");
    (in_queue, in_future)
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_wait_in_a_bulkhead() {
    let layer = Bulkhead::builder(10).max_waiting(CALLS).max_wait(Duration::from_secs(1000)).build().unwrap();
    let polls = most_polls(&layer).await;
    let _permits: Vec<_> = (0..10).map(|_| layer.handle().try_acquire().unwrap()).collect();
    let (queue, future) = bytes(&layer);
    println!("bulkhead: {polls} polls at most, {queue} bytes in the queue and {future} in the future of each");
    // To join the queue, when it has its place, and when its call is done.
    assert!(polls <= 3, "{polls} polls");
    assert!(queue <= 80 && future <= 400, "{queue} {future}");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_wait_in_a_limiter() {
    for (limit, burst) in [(900, 1), (5000, 500)] {
        let builder = RateLimit::builder(limit, Duration::from_secs(1)).burst(burst).max_waiting(CALLS);
        let layer = builder.max_wait(Duration::from_secs(1000)).build().unwrap();
        let polls = most_polls(&layer).await;
        while layer.handle().try_acquire().is_ok() {}
        let (queue, future) = bytes(&layer);
        println!("limiter at {limit}/s: {polls} polls at most, {queue} bytes in the queue and {future} in the future");
        // To join the queue, to set the timer as the first, when it goes, and when its call is done.
        assert!(polls <= 4, "{polls} polls");
        assert!(queue <= 80 && future <= 400, "{queue} {future}");
    }
}
