//! Failover: one client over several endpoints that do the same job.
//!
//! # When
//! Where a service is there more than once: replicas behind no balancer, a primary and standbys, zones, regions, a disaster
//! recovery site. The client finds the endpoint to call, notices within a few calls when one is gone, sends what is safe to
//! send to another one, never doubles a write, and goes back without flapping. For a single endpoint a
//! [circuit breaker](crate::circuit_breaker) does.
//!
//! # Example
//! ```
//! use steadfast::failover::{Endpoint, Failover};
//! use tower::{Service, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Any services of one type; here the address says what happens.
//! let connect = |address: &'static str| service_fn(move |id: u32| async move {
//!     let refused = || steadfast::Error::Inner(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
//!     if address == "10.0.0.1" { Err(refused()) } else { Ok(format!("{id} from {address}")) }
//! });
//! let (client, handle) = Failover::builder()
//!     .name("orders")
//!     .endpoint(Endpoint::new("primary", connect("10.0.0.1")))
//!     .endpoint(Endpoint::new("standby", connect("10.0.0.2")).tier(1))
//!     .build()?;
//!
//! assert_eq!(client.clone().oneshot(7).await?, "7 from 10.0.0.2");
//! assert_eq!(handle.snapshot().endpoint("primary").unwrap().failures, 1);
//! # Ok(())
//! # }
//! ```
//! More: `active_active`, `active_passive`, `cold_standby`, `sticky_sessions`, `zones`, `failover_http` in `examples/`.
//!
//! # Which endpoint
//! The **tier** first: 0 as long as it has a healthy endpoint ([`TierPolicy`]; or it spills over to the next). Within it our own
//! [zone](FailoverSettings::zone), then the [`Balance`]: by default the cheaper of two drawn by chance, by latency and calls in
//! flight, so that one that is slow or stalled gets little; and one that has just failed loses against any other, so that failing
//! fast attracts nothing. Calls may need a **role** ([`FailoverBuilder::need`]): the primary, or a replica that is not too far behind.
//!
//! # How an endpoint goes out, and comes back
//! | because | out for | back by |
//! |---|---|---|
//! | 5 failures in a row, 2 if it cannot be connected to | 250 ms × 2 up to 1 s | one call that tries it, or its probe passing twice after that |
//! | its [probe](FailoverBuilder::probe) fails 3 times, or it does not report | until the probe passes twice | |
//! | it stands out ([`Outliers`], off by default) | 5 s, growing | the same |
//! | it is drained, is in maintenance, has been fenced | until that ends | |
//!
//! Then it gets a tenth of its share, growing for 10 s. If the traffic had moved to a lower tier it is in hold first, for 30 s, twice as
//! long each time that it is lost again ([`Failback`]). A passing probe does not bring one back at once that calls have failed
//! at. Outcomes of calls from before a change say nothing of what is after it.
//!
//! **All out**: one call at a time tries an endpoint, after 50 ms × 1.5 up to 400 ms; the others are held within their deadline, or
//! refused with the reason of each endpoint ([`NoEndpoint`](crate::RejectedKind::NoEndpoint)). The first answer frees all.
//! What endpoints *answer* never takes out more than half of the last tier, unless all fail.
//!
//! # What is sent to another endpoint
//! | outcome | of the endpoint | sent elsewhere? |
//! |---|---|---|
//! | not connected, not ready in time ([`reached_service`](crate::Classify::reached_service) says no) | a failure | always: it was not sent |
//! | refused by a layer around the endpoint (breaker open, bulkhead full) | nothing | always |
//! | "not primary", "starting" ([`wrong_role`](crate::Classify::wrong_role)) | its role | always |
//! | overloaded | others are preferred for a while | if it may be sent twice |
//! | no answer: reset, timed out | a failure | if it may be sent twice; else [`InDoubt`](crate::RejectedKind::InDoubt) |
//! | an error that another try may mend | a failure | if it may be sent twice |
//! | any other error | as it is judged | never |
//!
//! At once, without back-off, to a distinct endpoint, to two in all, within the deadline, out of a [budget](FailoverBuilder::budget)
//! that it shares with the [retry](crate::retry) above; what was not sent costs nothing. Attempts are counted once over
//! retry, hedge and failover, and each goes to an endpoint that the call has not been at, if there is one. What may be sent twice is said
//! by [`replay`](FailoverBuilder::replay), by default anything that can be cloned: say it for writes. What breaks in the middle of a
//! response's body is never sent again.
//!
//! # Where it goes in a stack
//! fallback, deadline, retry and hedge, adaptive limit, **failover**, and what each endpoint has of its own by
//! [`wrap`](FailoverBuilder::wrap): an attempt timeout, a bulkhead, a breaker (rarely: ejection is one).
//!
//! ```
//! # use std::time::Duration;
//! # use steadfast::{failover::{Endpoint, Failover}, retry::{Budget, Retry}, timeout::Timeout};
//! # use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let a = service_fn(|id: u32| async move { Ok::<_, steadfast::Error<std::io::Error>>(id) });
//! # let b = a.clone();
//! let budget = std::sync::Arc::new(Budget::refund());
//! let attempt = Timeout::builder(Duration::from_millis(400)).name("attempt").build()?;
//! let (orders, _handle) = Failover::builder()
//!     .endpoint(Endpoint::new("a", a).zone("z1"))
//!     .endpoint(Endpoint::new("b", b).zone("z2"))
//!     .wrap(move |_, service| attempt.layer(service))
//!     .budget(budget.clone())
//!     .build()?;
//! let client = ServiceBuilder::new()
//!     .layer(Timeout::builder(Duration::from_secs(1)).build()?)
//!     .layer(Retry::builder().budget(budget).build()?)
//!     .service(orders);
//! # assert_eq!(client.oneshot(1).await?, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Endpoints that come and go, or do not run yet
//! [`members`]: from a `watch`, tower's `Discover`, DNS. Those that go are drained: nothing new, and nothing lost.
//! [`Endpoint::make`] is a service that is made on first use, [`Endpoint::cold`] one that has to be started first, or promoted,
//! for which a fence is asked.
//!
//! # Defaults
//! In [`FailoverSettings`], each with its unit and range; all can be changed through the [handle](FailoverHandle::change), which
//! also drains, switches by hand, tells events, and shows of each endpoint why it is in or out.
//!
//! # What is seen of it
//! | question | answered by |
//! |---|---|
//! | why does an endpoint get no calls? | [`EndpointSnapshot::state`] and the text of [`NoEndpoint`](crate::RejectedKind::NoEndpoint); it is out since its `EndpointDown`, `EndpointEjected`, `EndpointDraining`, `MaintenanceBegan` or `Fenced` |
//! | where do calls go, and was that by hand? | [`Snapshot::tier`], [`Snapshot::switched_to`] |
//! | which is the primary, and how far behind are the others? | [`Snapshot::primary`], [`Snapshot::highest_epoch`]; `role`, `epoch` and `lag` of each |
//! | was this write carried out? | ask the endpoint that [`Rejected::sent_to`](crate::Rejected::sent_to) names |
//! | what fails where nobody calls? | `MakeFailed`, `ActivationFailed`, `StopFailed`, `MembersFailed` until `MembersRecovered`, `MembersEnded`, with the reasons; [`EndpointSnapshot::make_failures`] |
//!
//! A source of members tells that it fails when that begins, and not with each try; the set that is known holds meanwhile.
//! [`switch_to`](FailoverHandle::switch_to) an endpoint that is out is a [`SwitchError`] that says why, and changes nothing.
//!
//! # Dropping
//! A call that is dropped gives back what it held. It is a failure of the endpoint if it had taken three times as long as calls
//! take, or twice as long and its deadline is over (where it is not known what calls take: if its deadline is over); else it
//! says nothing. With the last service and handle go the endpoints and the task that
//! probes, makes and looks for members; without any of these there is none.
//!
//! # Cost
//! Calls read an immutable view without a lock; a choice of two, or in turn, is O(1), by affinity O(n). Nothing is allocated
//! on the pass. A lock is taken, for O(n), by what changes something (an ejection, a trial, a probe's result, a report) and by
//! a refusal, which allocates the reasons of all endpoints.
//!
//! # Differences
//! tower's `Balance` needs a `Buffer`, drops an endpoint for good once its `poll_ready` fails, and is attracted by endpoints that
//! fail fast, as it takes a failure for a quick answer. What both cost: `benches/README.md`.

mod attempt;
mod balance;
mod builder;
mod call;
mod check;
mod cold;
mod control;
mod elsewhere;
mod endpoint;
mod event;
mod failback;
mod fleet;
mod future;
mod gate;
mod handle;
mod jobs;
mod load;
pub mod members;
mod need;
mod outlier;
pub mod probe;
mod roles;
mod route;
mod service;
mod settings;
mod shared;
mod snapshot;
mod task;
mod tiers;
mod token;
mod view;

pub use self::{
    balance::{Affinity, Balance},
    builder::FailoverBuilder,
    check::Check,
    cold::Cold,
    endpoint::{Endpoint, Meta},
    event::{Cause, FailoverEvent},
    failback::Failback,
    future::ResponseFuture,
    handle::{FailoverHandle, NoSuchEndpoint, SwitchError},
    need::Need,
    outlier::{CountedErrors, FailurePercentage, Outliers, SuccessRate},
    route::{Anywhere, ByAffinity, ByNeed, Route},
    service::Failover,
    settings::FailoverSettings,
    snapshot::{EndpointSnapshot, EndpointState, Snapshot},
    tiers::TierPolicy,
};
