//! Endpoints from DNS.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use self::resolve::{Question, Servers};
use super::{
    Change, Membership,
    ttl::{Limits, Outcome, Part, Placed, Target, Ttl},
};
use crate::{
    BoxError,
    failover::Endpoint,
    rng::{Rng, entropy},
    settings::{Check, ConfigError},
    telemetry::Name,
    time::{Clock, Sleep},
};

mod resolve;

/// Endpoints from DNS: one for each address, called by its text (`10.0.0.7:5432`), which is its `Meta::address` too.
///
/// ```no_run
/// use std::{net::SocketAddr, time::Duration};
/// use steadfast::failover::members::Dns;
/// # #[derive(Clone)] struct Pool; impl Pool { fn to(_: SocketAddr) -> Self { Pool } }
///
/// # fn main() -> Result<(), steadfast::ConfigError> {
/// // One pool of connections for each address: a pool over all of them never moves while it is busy.
/// let members = Dns::new("db.internal", 5432).ceiling(Duration::from_secs(60)).build(|address| Pool::to(address))?;
/// # Ok(())
/// # }
/// ```
///
/// | setting | default |
/// |---|---|
/// | [`floor`](Self::floor) | 5 s |
/// | [`ceiling`](Self::ceiling) | 5 min |
/// | [`keep`](Self::keep) | 30 s |
/// | [`timeout`](Self::timeout) | 10 s |
/// | [`name_servers`](Self::name_servers) | as the system is set up |
///
/// # When it asks
/// When the time to live of the answer is over (the shortest of all its records, aliases included), but not before the floor and
/// not after the ceiling. Nothing is cached below. A lookup that fails is tried again after 1 s, then twice as long each
/// time, up to 30 s, ±20 %. When calls fail to connect it asks at once, at most once in a second. What is asked for a name
/// without a final dot is also looked for in the search domains of the system; one with a dot is not, and asked for just once.
///
/// # What it keeps
/// - A lookup that fails (SERVFAIL, a timeout, no name server) says nothing of the set: what was known stays, for ever.
///   Were the set emptied, an outage of DNS would be one of all that it names.
/// - NXDOMAIN and empty answers may be a zone that is being replaced, so what was known stays for the time to
///   [`keep`](Self::keep). When the answer is the same after that, it is meant: the set is emptied. Who owned those
///   addresses has given them up, and somebody else may answer there.
/// - Where one of the questions of a lookup is not answered (AAAA, or the addresses of one SRV target), what was
///   known of that one stays.
///
/// All three are told by a [`MembersFailed`](crate::failover::FailoverEvent::MembersFailed) with the name that is looked up, when
/// they begin, and by a `MembersRecovered` with the first full answer after that.
///
/// # SRV
/// Priorities become tiers, the lowest value tier 0, without gaps. The weight is that of the endpoint, scaled down where one of
/// its tier is over 1,000; 0 becomes 0.01, or 1 where the whole tier has none. Each address of a target has the target's
/// weight. At most 256 targets are used, those of the lowest priority values first. An SRV record behind an alias is not
/// found.
#[derive(Clone)]
pub struct Dns {
    name: Name,
    question: Question,
    servers: Servers,
    resolver: Option<Asks>,
    limits: Limits,
}

/// A lookup that is under way.
type Asking = Pin<Box<dyn Future<Output = Outcome> + Send>>;

type Asks = Arc<dyn Fn(Name) -> Asking + Send + Sync>;

impl Dns {
    /// The addresses of `host` (A and AAAA records), each with this port.
    pub fn new(host: impl Into<Name>, port: u16) -> Self {
        Self::of(host.into(), Question::Addresses { port })
    }

    /// The services of `name` (SRV records), as in `_postgres._tcp.db.internal`.
    pub fn srv(name: impl Into<Name>) -> Self {
        Self::of(name.into(), Question::Services)
    }

    fn of(name: Name, question: Question) -> Self {
        let limits = Limits {
            floor: Duration::from_secs(5),
            ceiling: Duration::from_secs(300),
            keep: Duration::from_secs(30),
            timeout: Duration::from_secs(10),
        };
        Self { name, question, servers: Servers::System, resolver: None, limits }
    }

    /// An answer is good for at least this long, whatever it says. Default: 5 s; range: over 0.
    #[must_use]
    pub fn floor(mut self, floor: Duration) -> Self {
        self.limits.floor = floor;
        self
    }

    /// An answer is good for at most this long, whatever it says. Default: 5 min; range: not under the floor.
    #[must_use]
    pub fn ceiling(mut self, ceiling: Duration) -> Self {
        self.limits.ceiling = ceiling;
        self
    }

    /// For how long what was known is kept when DNS says that there is nothing. Default: 30 s; range: any, and zero for
    /// not at all.
    #[must_use]
    pub fn keep(mut self, keep: Duration) -> Self {
        self.limits.keep = keep;
        self
    }

    /// A lookup that takes longer has failed. Default: 10 s; range: over 0.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.limits.timeout = timeout;
        self
    }

    /// Asks these name servers, without search domains and hosts file. Default: as the system is set up, read anew after a
    /// lookup that found nothing.
    #[must_use]
    pub fn name_servers(mut self, servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.servers = Servers::These(servers.into_iter().collect());
        self
    }

    /// Looks names up by an asynchronous function of the name, instead of by the resolver that is built in. An `Err` is a
    /// lookup that has failed, an answer without addresses one that says that there is nothing. Default: none.
    #[must_use]
    pub fn resolver<F, Fut, E>(mut self, resolver: F) -> Self
    where
        F: Fn(Name) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Answer, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.resolver = Some(Arc::new(move |name| {
            let answer = resolver(name);
            Box::pin(async move { answer.await.map_or_else(failed, Answer::outcome) })
        }));
        self
    }

    /// Checks the settings. `service` makes the service of an address: called once for each one that comes, and again for one
    /// that went and comes back.
    pub fn build<S, F>(self, service: F) -> Result<DnsMembers<S, F>, ConfigError>
    where
        F: FnMut(SocketAddr) -> S,
    {
        let Self { name, question, servers, resolver, limits } = self;
        let check = Check::of(&name);
        check.that(!matches!(question, Question::Addresses { port: 0 }), "port", 0, "over 0")?;
        check.positive("floor", limits.floor)?;
        check.that(limits.ceiling >= limits.floor, "ceiling", limits.ceiling, "not under the floor")?;
        check.positive("timeout", limits.timeout)?;
        check.that(resolver.is_some() || resolve::is_name(&name, question), "name", &name, "a domain name")?;
        let resolver = resolver.unwrap_or_else(|| resolve::resolver(question, servers));
        Ok(DnsMembers {
            name,
            resolver,
            service,
            services: HashMap::new(),
            ttl: Ttl::new(limits),
            rng: Rng::seeded(entropy()),
            clock: None,
            asking: None,
            timer: None,
            waker: None,
        })
    }
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dns")
            .field("name", &self.name)
            .field("question", &self.question)
            .field("servers", &self.servers)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// What a resolver of your own has found: addresses, and for how long they are good.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    targets: Vec<Target>,
    ttl: Duration,
}

impl Answer {
    /// Nothing, so far; good for `ttl`.
    pub fn new(ttl: Duration) -> Self {
        Self { targets: Vec::new(), ttl }
    }

    /// One more address.
    #[must_use]
    pub fn address(self, address: SocketAddr) -> Self {
        self.service(address, 0, 0)
    }

    /// One more address, with priority and weight as in an SRV record.
    #[must_use]
    pub fn service(mut self, address: SocketAddr, priority: u16, weight: u16) -> Self {
        self.targets.push(Target { address, priority, weight });
        self
    }

    fn outcome(self) -> Outcome {
        Outcome::Found { parts: vec![Part { of: String::new(), targets: Some(self.targets) }], ttl: self.ttl }
    }
}

/// See [`Dns`].
pub struct DnsMembers<S, F> {
    name: Name,
    resolver: Asks,
    service: F,
    /// Of those that are in the set, so that each is made once.
    services: HashMap<SocketAddr, S>,
    ttl: Ttl,
    rng: Rng,
    /// Begins when it is first polled.
    clock: Option<Clock>,
    asking: Option<Asking>,
    /// With when it ends.
    timer: Option<(Duration, Pin<Box<Sleep>>)>,
    waker: Option<Waker>,
}

impl<S, F> fmt::Debug for DnsMembers<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnsMembers")
            .field("name", &self.name)
            .field("ttl", &self.ttl)
            .field("asking", &self.asking.is_some())
            .finish_non_exhaustive()
    }
}

impl<S, F> Membership<S> for DnsMembers<S, F>
where
    S: Clone + Send + 'static,
    F: FnMut(SocketAddr) -> S + Send + 'static,
{
    fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<Option<Change<S>>> {
        let clock = *self.clock.get_or_insert_with(Clock::start);
        loop {
            let now = clock.now();
            let answered = self.asking.as_mut().map(|asking| asking.as_mut().poll(cx));
            let outcome = match answered {
                Some(Poll::Ready(outcome)) => outcome,
                _ if now < self.ttl.due() => {
                    if self.sleeps(clock, cx) {
                        return Poll::Pending;
                    }
                    continue;
                }
                Some(Poll::Pending) => Outcome::Failed(self.ttl.too_late()),
                None => {
                    self.ttl.ask(now);
                    self.asking = Some((self.resolver)(self.name.clone()));
                    continue;
                }
            };
            self.asking = None;
            if let Some(set) = self.ttl.answered(clock.now(), outcome, self.rng.unit()) {
                let set = endpoints(set, &mut self.services, &mut self.service);
                return Poll::Ready(Some(Change::Set(set)));
            }
        }
    }

    fn name(&self) -> Name {
        self.name.clone()
    }

    fn failing(&self) -> Option<&Name> {
        self.ttl.failing()
    }

    fn look_again(&mut self) {
        let Some(clock) = self.clock else { return };
        self.ttl.look_again(clock.now());
        // The timer is set when it is polled.
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl<S, F> DnsMembers<S, F> {
    /// Waits until something is due; whether that is still to come.
    fn sleeps(&mut self, clock: Clock, cx: &mut Context<'_>) -> bool {
        self.waker = Some(cx.waker().clone());
        let due = self.ttl.due();
        if self.timer.as_ref().is_none_or(|(end, _)| *end != due) {
            self.timer = clock.instant(due).map(|end| (due, Box::pin(Sleep::until(end))));
        }
        // Without a timer it is due never.
        let Some((_, timer)) = &mut self.timer else { return true };
        let elapsed = timer.as_mut().poll_elapsed(cx);
        if elapsed {
            self.timer = None;
        }
        !elapsed
    }
}

fn failed(error: impl Into<BoxError>) -> Outcome {
    Outcome::Failed(error.into().to_string().into())
}

/// The endpoints of a set, with services made for those that are new; those of others are forgotten.
fn endpoints<S: Clone>(
    set: &[Placed],
    services: &mut HashMap<SocketAddr, S>,
    mut make: impl FnMut(SocketAddr) -> S,
) -> Vec<Endpoint<S>> {
    services.retain(|address, _| set.iter().any(|placed| placed.address == *address));
    set.iter()
        .map(|placed| {
            let service = services.entry(placed.address).or_insert_with(|| make(placed.address)).clone();
            let key = Name::from(placed.address.to_string());
            Endpoint::new(key.clone(), service).tier(placed.tier).weight(placed.weight).address(key)
        })
        .collect()
}
