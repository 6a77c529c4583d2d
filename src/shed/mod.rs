//! Load shedding for servers: CoDel with adaptive LIFO in front of a service, by priority, fair between keys.
//!
//! # When
//! Around your own handler, below the layer that sets its deadline. With more calls than can be served, a plain queue grows
//! until all wait longer than anybody wants an answer: everything is served late, and nothing in time. Clients that try again
//! keep it so after the load has gone. Here whoever cannot be served in good time is refused soon, and the rest is served
//! as fast as ever.
//!
//! # Example
//! ```
//! use std::{convert::Infallible, time::Duration};
//! use steadfast::{Priority, RejectedKind, shed::Shed};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! #[derive(Clone)]
//! struct Request { tenant: u32, important: bool }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let shed = Shed::builder(1)
//!     .name("orders")
//!     .max_waiting(1)
//!     .priority(|request: &Request| if request.important { Priority::Critical } else { Priority::Normal })
//!     .fair_by(|request: &Request| request.tenant)
//!     .build()?;
//!
//! let orders = ServiceBuilder::new().layer(shed.clone()).service(service_fn(|request: Request| async move {
//!     tokio::time::sleep(Duration::from_millis(30)).await;
//!     Ok::<_, Infallible>(request.tenant)
//! }));
//!
//! let call = |tenant, important| orders.clone().oneshot(Request { tenant, important });
//! let (first, second, third) = tokio::join!(call(1, false), call(2, false), call(3, true));
//! assert_eq!((first?, third?), (1, 3));
//! assert_eq!(second.unwrap_err().kind(), RejectedKind::Shed); // made room for the third
//! assert_eq!(shed.handle().snapshot().shed_of(Priority::Normal), 1);
//! # Ok(())
//! # }
//! ```
//!
//! # How
//! A call takes a place, or waits for one. **CoDel**: as long as the line has been empty within the last `interval`, a call
//! may wait for that long: a burst is served. A line that has lasted for an `interval` is a queue that stands: it makes all
//! wait and will not go away by itself, so from then on a call may wait only for `target`. **Adaptive LIFO**: until a queue
//! stands whoever came first is next, and then whoever came last: that one has the most time left, and those served have
//! hardly waited, while who would be too late anyway is refused. Both times are stretched for a service that gives places
//! rarely, to 2 and 20 places: else a free place would find nobody.
//!
//! # Who is first
//! Places go to the most important call first, and the least important is shed first: by [`Priority`](crate::Priority),
//! which comes from the [call context](crate::context::priority) or from a function of the request; and within one by
//! whether it is a [later attempt](crate::context::is_repeated) (a retry, a hedge): first attempts come before. No
//! call is ever shed, for want of room or for a queue that stands, while one that is less important goes on waiting.
//!
//! Within one importance, calls are shared between keys if [`fair_by`](ShedBuilder::fair_by) says whose they are: places go
//! to keys in turn, one that has not had its turn first, and room is made by the key that has the most calls in line. Each has
//! a queue of its own, which stands or not. So whoever sends more than its share waits and is shed, and others are not.
//!
//! # Defaults
//! | setting | default | meaning |
//! |---|---|---|
//! | [`builder`](Shed::builder)`(max_concurrent)` | 25 with [`ShedLayer::default`] | how many calls run at once |
//! | [`max_waiting`](ShedBuilder::max_waiting) | 1,000 | how many more may wait; a bound of memory, as time is bounded by the next two |
//! | [`target`](ShedBuilder::target) | 20 ms | how long a call may wait while a queue stands |
//! | [`interval`](ShedBuilder::interval) | 100 ms | how long it may otherwise, and how long a line lasts to be a queue that stands |
//! | [`adaptive_lifo`](ShedBuilder::adaptive_lifo) | on | the newest first while a queue stands |
//! | [`priority`](ShedBuilder::priority) | of the call context | how important a request is |
//! | [`fair_by`](ShedBuilder::fair_by) | none | whose a request is |
//! | [`seed`](ShedBuilder::seed) | of the operating system | of the hash of keys |
//!
//! The two times are what did best in the simulator, in its listed and in drawn worlds ([`storm`](crate#features),
//! `tests/storm/`): a `target` of 5 ms, as is usual, lets the line run empty again and again, and then all wait for up to an
//! `interval`. `max_concurrent` is yours to know: what the handler can do at once without getting slower, its workers or
//! connections. All but the functions change in place through the [handle](ShedHandle::change), at once.
//!
//! # What is refused
//! With [`Shed`](crate::RejectedKind::Shed), and never having reached the service; [`Cause`] says which, in the
//! [snapshot](ShedHandle::snapshot): a call for which the line has no room, one that has waited for too long, one whose
//! [deadline](crate::context::deadline) comes while it waits, and one that would not be in time: because of those before
//! it, or because it has less time left than calls of its priority take on average (only while others as important wait, who
//! are served instead). A
//! refusal says no `retry_after`: how long an overload lasts is for those to say who cause it.
//!
//! # Dropping
//! A place is a guard ([`Permit`]). Dropping the response future leaves the line at once, or drops the call; its place, or
//! one that had just been given to it, goes to the next. So it is when a call panics. A call that waits and is not polled holds
//! nobody up until it is given a place, which it then has until it is polled or dropped: so poll it, as a task does.
//!
//! # To do less in time
//! [`ShedHandle::pressure`] says how much there is to do, from 0 to 1, for a handler that can leave something out.
//! [Events](ShedHandle::subscribe) tell when overload begins and when it is over, not each call.
//!
//! # Differences
//! tower's `LoadShed` refuses whatever its service is not ready for: with a `ConcurrencyLimit` below there is no line, so a burst
//! is refused that would have been served in a moment. A [bulkhead](crate::bulkhead) has a line of one order, for so long, and
//! knows neither who is important nor whose a call is: it is for clients.
//!
//! Cost: a place is taken and given back by one atomic operation each, as long as nobody waits; no clock is read and no
//! function called. A call that waits has a timer, and takes a lock for a few steps, however many wait; only where the line
//! is full, the 256 flows of `fair_by` are looked through for the longest.

mod class;
mod core;
mod future;
mod handle;
mod layer;
mod line;
#[cfg(all(test, steadfast_loom))]
mod loom_core;
mod overload;
mod permit;
mod service;
mod settings;

pub use self::{
    class::{FromContext, KeyOf, OneKey, PriorityOf},
    future::ResponseFuture,
    handle::{Cause, ShedEvent, ShedHandle, ShedSnapshot},
    layer::{ShedBuilder, ShedLayer},
    permit::Permit,
    service::Shed,
    settings::ShedSettings,
};
