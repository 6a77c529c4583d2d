//! DNS, the part that asks name servers.

use std::{
    future::{Future, poll_fn},
    net::{IpAddr, SocketAddr},
    pin::pin,
    str::FromStr,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::rr::{Name as Domain, RData, Record, RecordType},
    system_conf::read_system_conf,
};
use tokio::task::JoinSet;

use super::{Asking, Asks};
use crate::{
    failover::members::ttl::{Outcome, Part, Target},
    sync::Mutex,
    telemetry::Name,
    time::{self, Sleep},
};

/// No more targets of one SRV name are used.
const TARGETS: usize = 256;

/// For so long the addresses of one family are waited for when those of the other are there.
const OTHER_FAMILY: Duration = Duration::from_secs(1);

/// What is asked of a name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Question {
    Addresses { port: u16 },
    Services,
}

/// Who is asked.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Servers {
    System,
    These(Vec<SocketAddr>),
}

/// What the records of one address have in common.
#[derive(Clone, Copy)]
struct Place {
    port: u16,
    priority: u16,
    weight: u16,
}

/// Whether that can be looked up.
pub(super) fn is_name(name: &str, question: Question) -> bool {
    let is_address = IpAddr::from_str(name).is_ok() && question != Question::Services;
    is_address || Domain::from_str(name).is_ok_and(|domain| domain.num_labels() > 0)
}

/// Asks name servers.
pub(super) fn resolver(question: Question, servers: Servers) -> Asks {
    // Kept as long as it answers: after that the system may be set up in another way.
    let kept: Arc<Mutex<Option<Resolver>>> = Arc::new(Mutex::new(None));
    Arc::new(move |name| -> Asking {
        let (kept, servers) = (Arc::clone(&kept), servers.clone());
        Box::pin(async move {
            if let (Ok(ip), Question::Addresses { port }) = (IpAddr::from_str(&name), question) {
                return itself(SocketAddr::new(ip, port));
            }
            let before = kept.lock().take();
            let resolver = before.or_else(|| Resolver::new(&servers));
            let (Some(resolver), Ok(name)) = (resolver, Domain::from_str(&name)) else {
                return Outcome::Failed(Name::from_static("the settings of the system's resolver make no sense"));
            };
            let names = resolver.names(&name);
            let outcome = match question {
                Question::Addresses { port } => {
                    resolver.addresses(&names, Place { port, priority: 0, weight: 0 }).await
                }
                Question::Services => resolver.services(&names).await,
            };
            if matches!(outcome, Outcome::Found { .. }) {
                *kept.lock() = Some(resolver);
            }
            outcome
        })
    })
}

/// A name that is an address.
fn itself(address: SocketAddr) -> Outcome {
    let targets = Some(vec![Target { address, priority: 0, weight: 0 }]);
    Outcome::Found { parts: vec![Part { of: String::new(), targets }], ttl: Duration::MAX }
}

#[derive(Clone)]
struct Resolver {
    asks: TokioResolver,
    ndots: usize,
    search: Arc<[Domain]>,
}

/// The records that answer one question, or that there are none; if nobody knows, why.
type Records = Result<Vec<Record>, Name>;

impl Resolver {
    fn new(servers: &Servers) -> Option<Self> {
        let (config, mut options) = match servers {
            Servers::System => read_system_conf().ok()?,
            Servers::These(servers) => {
                let servers = servers.iter().map(|server| name_server(*server)).collect();
                let mut options = ResolverOpts::default();
                options.use_hosts_file = ResolveHosts::Never;
                (ResolverConfig::from_parts(None, Vec::new(), servers), options)
            }
        };
        // An answer that is cached there would be used past its time.
        options.cache_size = 0;
        // With aliases, whose time counts too.
        options.preserve_intermediates = true;
        let (domain, search, _) = config.clone().into_parts();
        let search = search.into_iter().chain(domain).collect();
        let ndots = options.ndots;
        let provider = TokioRuntimeProvider::default();
        let asks = TokioResolver::builder_with_config(config, provider).with_options(options).build().ok()?;
        Some(Self { asks, ndots, search })
    }

    /// The full names that `name` may stand for, in the order in which they are tried.
    fn names(&self, name: &Domain) -> Vec<Domain> {
        let mut full = name.clone();
        full.set_fqdn(true);
        if name.is_fqdn() {
            return vec![full];
        }
        let searched = self.search.iter().filter_map(|domain| {
            let mut name = name.clone().append_domain(domain).ok()?;
            name.set_fqdn(true);
            Some(name)
        });
        let mut names: Vec<Domain> = searched.collect();
        let first = usize::from(name.num_labels()) > self.ndots;
        names.insert(if first { 0 } else { names.len() }, full);
        names
    }

    /// The addresses of the first name that has any. One that nobody knows of ends it: it may be the one that was meant, and
    /// what comes after it somebody else's.
    async fn addresses(&self, names: &[Domain], place: Place) -> Outcome {
        for name in names {
            let found = |records: &Records| records.as_ref().is_ok_and(|records| !records.is_empty());
            let (v4, v6) = both(self.records(name, RecordType::A), self.records(name, RecordType::AAAA), found).await;
            let late = || Err(Name::from_static("it took too long"));
            let (v4, v6) = (v4.unwrap_or_else(late), v6.unwrap_or_else(late));
            if found(&v4) || found(&v6) {
                let ttl = [&v4, &v6].into_iter().flatten().filter_map(|records| ttl(records)).min().unwrap_or_default();
                let parts = families(name, place)
                    .zip([v4, v6])
                    .map(|(of, records)| Part { of, targets: records.ok().map(|records| targets(&records, place)) });
                return Outcome::Found { parts: parts.collect(), ttl };
            }
            if let Err(why) = v4.and(v6) {
                return Outcome::Failed(why);
            }
        }
        Outcome::Nothing
    }

    /// The services of the first name that has any, with the addresses of their targets.
    async fn services(&self, names: &[Domain]) -> Outcome {
        for name in names {
            let records = match self.records(name, RecordType::SRV).await {
                Ok(records) => records,
                Err(why) => return Outcome::Failed(why),
            };
            let Some(ttl) = ttl(&records) else { continue };
            let mut services: Vec<_> = records
                .iter()
                .filter_map(|record| match &record.data {
                    // The root is how a zone says that there is no such service.
                    RData::SRV(srv) if !srv.target.is_root() => Some(srv.clone()),
                    _ => None,
                })
                .collect();
            services.sort_by_key(|srv| srv.priority);
            services.truncate(TARGETS);
            return self
                .targets(
                    services.into_iter().map(|srv| {
                        let place = Place { port: srv.port, priority: srv.priority, weight: srv.weight };
                        (srv.target, place)
                    }),
                    ttl,
                )
                .await;
        }
        Outcome::Nothing
    }

    /// The addresses of all these.
    async fn targets(&self, hosts: impl Iterator<Item = (Domain, Place)>, mut ttl: Duration) -> Outcome {
        let mut lookups = JoinSet::new();
        for (mut host, place) in hosts {
            host.set_fqdn(true);
            let resolver = self.clone();
            lookups.spawn(async move {
                let found = resolver.addresses(std::slice::from_ref(&host), place).await;
                (host, place, found)
            });
        }
        let mut all = Vec::new();
        while let Some(looked_up) = lookups.join_next().await {
            // It cannot have been aborted, and nothing in it panics.
            let (host, place, outcome) = match looked_up {
                Ok(looked_up) => looked_up,
                Err(error) => return super::failed(error),
            };
            let unknown = matches!(outcome, Outcome::Failed(_));
            match outcome {
                Outcome::Found { parts, ttl: of_host } => {
                    ttl = ttl.min(of_host);
                    all.extend(parts);
                }
                Outcome::Nothing | Outcome::Failed(_) => {
                    all.extend(families(&host, place).map(|of| Part { of, targets: (!unknown).then(Vec::new) }))
                }
            }
        }
        Outcome::Found { parts: all, ttl }
    }

    /// The records of this kind under a full name, with the aliases that led there.
    async fn records(&self, name: &Domain, kind: RecordType) -> Records {
        match self.asks.lookup(name.clone(), kind).await {
            Ok(found) if found.answers().iter().any(|record| record.record_type() == kind) => {
                Ok(found.answers().to_vec())
            }
            Ok(_) | Err(NetError::Dns(DnsError::NoRecordsFound(_))) => Ok(Vec::new()),
            Err(error) => Err(error.to_string().into()),
        }
    }
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, connections)
}

/// What the questions for the addresses of a host are called.
fn families(host: &Domain, place: Place) -> impl Iterator<Item = String> {
    let host = host.to_string();
    ["A", "AAAA"].into_iter().map(move |kind| format!("{kind} {host} {}", place.port))
}

fn ttl(records: &[Record]) -> Option<Duration> {
    records.iter().map(|record| Duration::from_secs(record.ttl.into())).min()
}

fn targets(records: &[Record], place: Place) -> Vec<Target> {
    let Place { port, priority, weight } = place;
    let addresses = records.iter().filter_map(|record| record.data.ip_addr());
    addresses.map(|ip| Target { address: SocketAddr::new(ip, port), priority, weight }).collect()
}

/// What both come to. Once one has been `enough`, the other has only a little time left.
async fn both<T>(
    one: impl Future<Output = T>,
    other: impl Future<Output = T>,
    enough: impl Fn(&T) -> bool,
) -> (Option<T>, Option<T>) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (mut first, mut second) = (None, None);
    let mut patience = pin!(None::<Sleep>);
    poll_fn(|cx| {
        if first.is_none()
            && let Poll::Ready(done) = one.as_mut().poll(cx)
        {
            first = Some(done);
        }
        if second.is_none()
            && let Poll::Ready(done) = other.as_mut().poll(cx)
        {
            second = Some(done);
        }
        if first.is_some() && second.is_some() {
            return Poll::Ready(());
        }
        if patience.is_none() && first.iter().chain(&second).any(&enough) {
            patience.set(time::after(time::now(), OTHER_FAMILY).map(Sleep::until));
        }
        match patience.as_mut().as_pin_mut() {
            Some(patience) => {
                if patience.poll_elapsed(cx) {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            }
            None => Poll::Pending,
        }
    })
    .await;
    (first, second)
}

#[cfg(test)]
mod tests;
