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
