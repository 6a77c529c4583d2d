//! Timeout: a call that takes too long is dropped, and everything below knows how long it has.
//!
//! # When
//! Once around the whole call, above retry: the **deadline**. It is seen by every layer below through the
//! [call context](crate::context): a retry does not begin a wait that would end after it. Once more around a single attempt,
//! below retry, where a hard bound on one attempt is known; that one is cut to what is left of the deadline. A short
//! attempt timeout cancels what a slow network would still have answered, so prefer none to one that is tight.
//!
//! # Example
//! ```
//! use std::{future::pending, time::Duration};
//! use steadfast::{Rejected, RejectedKind, timeout::Timeout};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = ServiceBuilder::new()
//!     .layer(Timeout::builder(Duration::from_secs(1)).name("checkout").build()?)
//!     .service(service_fn(|()| pending::<Result<(), Rejected>>()));
//!
//! let error = service.oneshot(()).await.unwrap_err();
//! assert_eq!(error.kind(), RejectedKind::TimedOut);
//! assert!(error.reached_service()); // it may have been done: send it again only if it may be done twice
//! assert_eq!(error.to_string(), "timeout `checkout`: no answer in time");
//! # Ok(())
//! # }
//! ```
//!
//! # Settings
//! | setting | default | meaning |
//! |---|---|---|
//! | [`builder`](Timeout::builder)`(limit)` | none: give one | over 0; `Duration::MAX` is without limit |
//! | [`name`](TimeoutBuilder::name) | `timeout` | in rejections and events |
//! | [`per_request`](TimeoutBuilder::per_request) | the same for all | a limit by request |
//!
//! # When the clock starts
//! With the call, or later: when something below first asks for the deadline, or when the call first has to wait. A call
//! that is answered at once reads no clock and sets no timer. Time spent in `poll_ready` is not covered: see
//! [`ready`](crate::ready) for what to do about services that wait there.
//!
//! # Dropping
//! When the time is over the call is dropped before the error is returned, so whatever it held is free. Dropping the
//! future drops the call.
//!
//! # Late
//! If the runtime stood still, the timer is found over late. The call gets its answer if that is there, and a timeout if not;
//! either way no layer counts it against the service. See [`stall`](crate::stall).
//!
//! # Differences
//! Unlike tower's `Timeout` this one sets the deadline for the layers below, makes its timer only when needed, ends calls
//! that are always busy, and keeps the error type of the stack.

mod future;
mod layer;
mod service;

pub use self::{
    future::ResponseFuture,
    layer::{TimeoutBuilder, TimeoutEvent, TimeoutHandle, TimeoutLayer},
    service::{SameForAll, Timeout, TimeoutOf},
};
