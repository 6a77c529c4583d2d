//! Synchronisation from the standard library, or from loom under `cfg(steadfast_loom)` in tests.

#[cfg(not(all(test, steadfast_loom)))]
pub(crate) use std::sync::{Mutex as Inner, MutexGuard, atomic};

#[cfg(all(test, steadfast_loom))]
pub(crate) use loom::sync::{Mutex as Inner, MutexGuard, atomic};

/// A mutex that ignores poison: what it guards here is never left half-done by a panic.
#[derive(Debug)]
pub(crate) struct Mutex<T>(Inner<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Inner::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        #[cfg(test)]
        LOCKED.set(LOCKED.get() + 1);
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
std::thread_local! {
    /// How often this thread has locked any of these.
    pub(crate) static LOCKED: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// Fault 16 of those seen elsewhere: a lock twice a call, held or not, and with two threads hardly any throughput is left.
#[cfg(all(test, not(steadfast_loom)))]
mod tests {
    use std::{
        future::{Future, ready},
        task::{Context, Poll, Waker},
        time::Duration,
    };

    use tower::{Layer, Service, service_fn};

    use super::LOCKED;
    use crate::{
        Rejected,
        adaptive_limit::AdaptiveLimit,
        bulkhead::BulkheadLayer,
        chaos::Chaos,
        coalesce::Coalesce,
        failover::{Balance, Endpoint, Failover},
        hedge::Hedge,
        retry::RetryLayer,
        shed::ShedLayer,
        timeout::Timeout,
    };

    /// How often a call locks that is let through and answered at once.
    fn locks<L>(layer: &L) -> u32
    where
        L: Layer<Answers, Service: Service<u32, Response = u32>>,
    {
        locks_of(layer.layer(Answers))
    }

    fn locks_of(mut service: impl Service<u32, Response = u32>) -> u32 {
        let mut cx = Context::from_waker(Waker::noop());
        let before = LOCKED.get();
        assert!(service.poll_ready(&mut cx).is_ready());
        let mut call = Box::pin(service.call(7));
        assert!(matches!(call.as_mut().poll(&mut cx), Poll::Ready(Ok(7))));
        drop(call);
        LOCKED.get() - before
    }

    /// A service that answers at once.
    #[derive(Clone)]
    struct Answers;

    impl Service<u32> for Answers {
        type Response = u32;
        type Error = Rejected;
        type Future = std::future::Ready<Result<u32, Rejected>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Rejected>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: u32) -> Self::Future {
            ready(Ok(request))
        }
    }

    #[test]
    fn fault_16_a_call_that_is_let_through_takes_no_lock() {
        let second = Duration::from_secs(1);
        assert_eq!(locks(&AdaptiveLimit::builder(second).build().unwrap()), 0);
        assert_eq!(locks(&ShedLayer::default()), 0);
        assert_eq!(locks(&BulkheadLayer::default()), 0);
        assert_eq!(locks(&RetryLayer::default()), 0);
        assert_eq!(locks(&Hedge::default().alone().build().unwrap()), 0);
        assert_eq!(locks(&Timeout::builder(second).build().unwrap()), 0);
        assert_eq!(locks(&Chaos::builder().enabled(false).build().unwrap()), 0);
    }

    #[test]
    fn fault_16_nor_does_one_to_any_of_several_endpoints() {
        for balance in [Balance::PeakEwma, Balance::LeastRequests, Balance::RoundRobin, Balance::Weighted] {
            let endpoints = (0..3).map(|i| Endpoint::new(format!("endpoint {i}"), Answers));
            let builder = Failover::builder().endpoints(endpoints).with(|settings| settings.balance = balance);
            let (mut client, _) = builder.build().unwrap();
            assert_eq!(locks_of(&mut client), 0, "{balance:?}");
            assert_eq!(locks_of(client.clone()), 0, "{balance:?}, a clone");
        }
    }

    /// One to find out whether others ask for the same, one to be found no more; neither is held over the call.
    #[test]
    fn fault_16_a_coalesced_call_locks_to_begin_and_to_end() {
        let layer = Coalesce::builder(|request: &u32| Some(*request)).build();
        let service = layer.layer(service_fn(|request: u32| ready(Ok::<_, Rejected>(request))));
        let mut cx = Context::from_waker(Waker::noop());
        let before = LOCKED.get();
        let mut call = Box::pin(tower::ServiceExt::oneshot(service, 7));
        assert!(call.as_mut().poll(&mut cx).is_ready());
        drop(call);
        let locks = LOCKED.get() - before;
        assert!(locks <= 3, "{locks}");
    }
}
