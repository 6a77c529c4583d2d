//! Any layer and any stack around a piece of asynchronous code, without a service.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;
use tower::{Layer, Service};

use crate::{Error, ready::ReadyFuture};

/// Runs asynchronous code under a layer or a stack of layers: a database call, an SDK, anything that is no service.
///
/// The state is the layer's, so keep the layer (or the `ServiceBuilder` that holds the stack) and run all calls of one
/// kind through it. Layers of others may keep theirs in the service, which is made anew for each call here: tower's
/// `ConcurrencyLimitLayer` would limit nothing (its `GlobalConcurrencyLimitLayer` does).
///
/// ```
/// use std::time::Duration;
/// use steadfast::{Error, Run, circuit_breaker::CircuitBreakerLayer, retry::RetryLayer, timeout::Timeout};
/// use tower::ServiceBuilder;
///
/// # async fn query(id: u32) -> Result<u32, std::io::Error> { Ok(id) }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let breaker = CircuitBreakerLayer::default();
/// let row = breaker.run(|| query(7)).await?;
///
/// let stack = ServiceBuilder::new()
///     .layer(Timeout::builder(Duration::from_secs(1)).build()?)
///     .layer(RetryLayer::default())
///     .layer(breaker);
/// let row = stack.run(|| query(7)).await?;
/// # Ok(())
/// # }
/// ```
pub trait Run {
    /// Runs `operation`, each attempt anew. Its own errors come back as [`Error::Inner`]; see [`Error::flatten`].
    ///
    /// `operation` may be run more than once if a layer tries again, so a retry asks for it to be `Clone`, which
    /// closures are that capture references or nothing. [`run_once`](Self::run_once) takes any. Dropping the future
    /// drops the attempt in progress.
    fn run<F, Fut, T, E>(&self, operation: F) -> ReadyFuture<Self::Service, ()>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        Self: Layer<Operation<F>, Service: Service<()>>,
    {
        ReadyFuture::waiting(self.layer(Operation(operation)), ())
    }

    /// Runs `operation`, which can be run only once, so a stack with a retry in it does not accept it.
    fn run_once<F, Fut, T, E>(&self, operation: F) -> ReadyFuture<Self::Service, ()>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        Self: Layer<OperationOnce<F>, Service: Service<()>>,
    {
        ReadyFuture::waiting(self.layer(OperationOnce(Some(operation))), ())
    }
}

impl<L: ?Sized> Run for L {}

/// A piece of code as a service. See [`Run::run`].
#[derive(Clone, Copy)]
pub struct Operation<F>(F);

/// A piece of code that can be run once, as a service. See [`Run::run_once`].
///
/// Not `Clone`: if the compiler asks for that, a layer of the stack may run it again, and [`Run::run`] is what it needs.
pub struct OperationOnce<F>(Option<F>);

impl<F, Fut, T, E> Service<()> for Operation<F>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    type Response = T;
    type Error = Error<E>;
    type Future = OperationFuture<Fut>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error<E>>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        OperationFuture((self.0)())
    }
}

impl<F, Fut, T, E> Service<()> for OperationOnce<F>
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    type Response = T;
    type Error = Error<E>;
    type Future = OperationFuture<Fut>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error<E>>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        let operation = self.0.take().expect("a layer called an operation twice that it could not clone");
        OperationFuture(operation())
    }
}

/// The future of an operation, with its error wrapped once.
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct OperationFuture<F>(#[pin] F);

impl<F, T, E> Future for OperationFuture<F>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().0.poll(cx).map_err(Error::Inner)
    }
}

impl<F> fmt::Debug for Operation<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Operation")
    }
}

impl<F> fmt::Debug for OperationOnce<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperationOnce")
    }
}
