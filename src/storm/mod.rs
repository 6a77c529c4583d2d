//! Storms: what a stack of layers is worth when things break, simulated before production does it (feature `storm`).
//!
//! A world (backends, workers, queues, network, clients, load) and a timeline of faults go in; any tower stack goes in, and
//! its real layers run, on a paused clock: a minute and a half of storm takes a tenth of a second, and the same seed gives
//! the same result. Out come goodput against what could have been reached, latency, attempts, recovery, wasted work and
//! needless refusals.
//!
//! # In ten minutes
//! **1. Describe your service.** How long a call takes, how many are worked on at once, how long callers wait, how much comes.
//! Save this as `checkout.toml` and put in your own figures; what is left out has a default ([`file`](mod@file) lists it all):
//!
//! ```toml
//! name = "checkout"
//!
//! [world]
//! deadline = "800ms"
//! clients = 6                                     # instances of the service that calls, each with a stack of its own
//! load = { rate = 300 }                           # calls a second, in all
//!
//! [[world.backends]]
//! count = 3
//! workers = 8
//! queue = 200
//! service = { mean = "40ms", sigma = 0.6 }        # or recorded = [["10ms", 120], ["50ms", 800], ["400ms", 7]]
//!
//! [[faults]]                                      # a bad deployment: everything is four times as slow for 10 s
//! kind = "slow"
//! factor = 4
//! at = "10s"
//! lasts = "10s"
//! ```
//!
//! **2. Run the storm**, first without any policy, then with the crate's layers:
//!
//! ```console
//! cargo run --release --features storm --example storm -- run checkout.toml --stack none
//! cargo run --release --features storm --example storm -- compare none steadfast --scenario checkout.toml
//! ```
//!
//! **3. Read the picture.** `target/storm/` has a timeline as SVG and CSV for each run. *Offered* is what came, the dashed
//! *oracle* what could be answered at best, *goodput* what was. Where goodput is under the oracle, your callers saw errors
//! that need not have been. While the backends are slow (shaded) much is lost for anybody; what counts is how soon after it
//! the lines meet again. If they do not, the storm outlives its cause: the queues are full of calls that nobody waits for
//! any more. If *attempts* rises over *offered* where goodput is low, retries feed it. Below are figures of the stack:
//! places of a bulkhead, open breakers, tokens of a budget, and what you show with [`Upstream::gauge`].
//!
//! **4. Change a knob**, of the world or of the stack, and see where it tips over:
//!
//! ```console
//! cargo run --release --features storm --example storm -- sweep faults.0.factor=1.0..6.0:6 --scenario checkout.toml
//! cargo run --release --features storm --example storm -- boundary world.load.rate --goodput 95 --scenario checkout.toml
//! cargo run --release --features storm --example storm -- suite --stack none --stack steadfast
//! ```
//!
//! `suite` runs the sixteen [listed scenarios](Scenario::listed), which a stack should survive all, with one configuration.
//!
//! **5. Keep it.** In your own tests, with your own stack:
//!
//! ```
//! use std::sync::Arc;
//! use steadfast::{Error, bulkhead::Bulkhead, retry::{Budget, Retry}, timeout::Timeout};
//! use steadfast::storm::{self, Scenario, Stack, StormClassify, Upstream};
//! use tower::ServiceBuilder;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Once for each client and run: make the layers in here, so that each has a state of its own.
//! let stack = Stack::new("checkout", |upstream: Upstream| {
//!     ServiceBuilder::new()
//!         .layer(Timeout::builder(upstream.deadline()).build().unwrap())
//!         .layer(Retry::builder().classify(StormClassify).budget(Arc::new(Budget::refund())).build().unwrap())
//!         .layer(Bulkhead::builder(6).max_waiting(20).build().unwrap())
//!         .map_err(Error::Inner)
//!         .service(upstream)
//! });
//! let checkout = Scenario::from_toml(r#"
//!     world = { deadline = "800ms", clients = 6, load = { rate = 300 } }
//!     faults = [{ kind = "slow", factor = 4, at = "10s", lasts = "10s" }]
//! "#)?;
//! storm::check(stack, checkout).goodput(95.0).attempts(1.2).await?;
//! # Ok(())
//! # }
//! ```
//!
//! A miss says by how much, and shows the timeline of the worst run second by second.
//!
//! # What is simulated
//! - **Clients** each have a stack of their own, made by the function given to [`Stack::new`]. Requests are the same for all
//!   stacks, and so is what the *n*-th attempt of a request meets.
//! - **The network** takes half a round trip each way, a millisecond at least in all. Dropping a call does not call back what was sent.
//! - **Backends** have workers and a queue, first come first served; a full queue refuses. What a call costs is known when
//!   it is accepted, and dead work is work: a backend that has been slow still has its slow calls to do. [`Stack::server`] puts
//!   layers around a backend's [`Handler`]; they see the deadline that the client's stack has set.
//! - **Callers** wait until the deadline and 5 ms more, then drop the call.
//! - Everything happens at whole milliseconds, the timers' resolution.
//!
//! # What is measured
//! Over the requests that arrive in the scenario's window, normally the faults and 30 s after them ([`Report`] has it all):
//!
//! | figure | meaning |
//! |---|---|
//! | goodput | answered within the deadline, in percent of what the [oracle](Scenario::oracle) answers |
//! | attempts | for each request, hedges and retries included |
//! | recovery | from the end of the faults to the first of three seconds at 95 % of the oracle's |
//! | wasted | the share of the servers' time that went into answers nobody used |
//! | false rejects | requests refused without having been sent, in seconds in which the oracle serves all |
//!
//! An invalid request counts as answered when the answer is that it is; an answer that the stack makes up
//! ([`Response::degraded`]) is counted apart.
//!
//! # The same seed, the same result
//! The crate's own layers take their chance from the run, if they are made in it. A layer of others does not if it draws its own, and one that reads
//! `std::time::Instant` does not see this clock at all: its windows and waits stand still.

mod call;
mod check;
mod conditions;
mod draw;
mod drawn;
mod error;
pub mod file;
mod listed;
mod net;
mod oracle;
mod report;
mod run;
mod scenario;
mod server;
mod serving;
mod text;
mod upstream;
mod validate;
mod world;

pub use self::{
    call::{Failure, Request, Response, Status, StormClassify},
    check::{Check, Checking, Shortfall, check},
    drawn::Ranges,
    error::StormError,
    report::{Report, Second},
    run::{Candidate, Stack},
    scenario::{Fault, FaultKind, Scenario},
    serving::{Handler, Work},
    upstream::{Call, Upstream},
    world::{Backend, Class, Load, ServiceTime, World},
};
