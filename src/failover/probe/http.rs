//! The probe that asks over HTTP: what is sent, and what counts as a pass.

use std::{
    fmt::{self, Write},
    future::{Future, poll_fn},
    ops::{Bound, RangeBounds, RangeInclusive},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use super::{
    Probe, Probing, Report,
    head::{self, Head},
    target::{self, Wrong},
    tcp::check_at,
};
use crate::{
    BoxError,
    failover::Meta,
    settings::{Check, ConfigError},
    telemetry::Name,
    time::{self, Sleep},
};

/// What says the request itself; these cannot be set.
const OWN: [&str; 6] = ["host", "connection", "content-length", "transfer-encoding", "upgrade", "expect"];

type Reads = Arc<dyn Fn(&Head<'_>) -> Report + Send + Sync>;

/// Asks the endpoint's [`address`](super::super::Endpoint::address) over HTTP/1.1, without TLS, on a fresh connection each time.
///
/// | setting | default |
/// |---|---|
/// | [`expect`](Self::expect) | 200 to 299; a redirect is not followed, and no pass |
/// | [`within`](Self::within) | the check's timeout |
/// | [`host`](Self::host) | the address |
/// | [`reads`](Self::reads) | an answer says nothing more |
///
/// Only the head of the answer is read, up to 16 KiB. Feature `probe`; needs a runtime with I/O enabled.
///
/// ```
/// use std::time::Duration;
/// use steadfast::failover::probe::{HttpProbe, Report};
///
/// let probe = HttpProbe::get("/health").expect(200..300).expect(429..=429).within(Duration::from_millis(300));
/// let probe = probe.reads(|head| match head.header("x-weight").and_then(|weight| weight.parse().ok()) {
///     Some(weight) => Report::new().weight(weight),
///     None => Report::new().maintenance(head.header("x-maintenance").is_some()),
/// });
/// ```
#[derive(Clone)]
pub struct HttpProbe {
    method: &'static str,
    path: String,
    /// Empty: the default.
    expected: Vec<RangeInclusive<u16>>,
    within: Option<Duration>,
    headers: Vec<(String, String)>,
    host: Option<String>,
    at: Option<Name>,
    reads: Option<Reads>,
}

impl HttpProbe {
    fn of(method: &'static str, path: String) -> Self {
        let (expected, headers) = (Vec::new(), Vec::new());
        Self { method, path, expected, within: None, headers, host: None, at: None, reads: None }
    }

    /// `GET` of this path, with a query if there is one.
    pub fn get(path: impl Into<String>) -> Self {
        Self::of("GET", path.into())
    }

    /// `HEAD` of this path: the same without a body to be thrown away.
    pub fn head(path: impl Into<String>) -> Self {
        Self::of("HEAD", path.into())
    }

    /// These statuses pass. Default: 200 to 299. Given several times, each of them passes.
    #[must_use]
    pub fn expect(mut self, statuses: impl RangeBounds<u16>) -> Self {
        let first = match statuses.start_bound() {
            Bound::Included(first) => *first,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 100,
        };
        let last = match statuses.end_bound() {
            Bound::Included(last) => *last,
            Bound::Excluded(end) => end.saturating_sub(1),
            Bound::Unbounded => 999,
        };
        self.expected.push(first..=last);
        self
    }

    /// What takes longer from connecting to the end of the head has failed. Default: only the check's timeout counts.
    #[must_use]
    pub fn within(self, longest: Duration) -> Self {
        Self { within: Some(longest), ..self }
    }

    /// One more header of the request.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The `Host` header, where it is not the address that is connected to.
    #[must_use]
    pub fn host(self, host: impl Into<String>) -> Self {
        Self { host: Some(host.into()), ..self }
    }

    /// Connects to this `host:port`, whichever endpoint is asked. Default: to the address of each.
    #[must_use]
    pub fn at(self, address: impl Into<Name>) -> Self {
        Self { at: Some(address.into()), ..self }
    }

    /// Reads a report from the head of an answer whose status was expected: a weight, that it drains, that it is being
    /// worked on.
    #[must_use]
    pub fn reads(self, reads: impl Fn(&Head<'_>) -> Report + Send + Sync + 'static) -> Self {
        Self { reads: Some(Arc::new(reads)), ..self }
    }

    fn request(&self, address: &str) -> String {
        let Self { method, path, .. } = self;
        let host = self.host.as_deref().unwrap_or(address);
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        for (name, value) in &self.headers {
            let _ = write!(request, "{name}: {value}\r\n");
        }
        for (name, value) in [("User-Agent", concat!("steadfast/", env!("CARGO_PKG_VERSION"))), ("Accept", "*/*")] {
            if !self.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)) {
                let _ = write!(request, "{name}: {value}\r\n");
            }
        }
        request + "\r\n"
    }

    async fn ask(&self, address: &Name) -> Result<Report, Wrong> {
        let stream = target::connect(address).await?;
        head::exchange(stream, self.request(address).as_bytes(), |head| self.judge(head)).await
    }

    fn judge(&self, head: &Head<'_>) -> Result<Report, Wrong> {
        let status = head.status();
        let expected = if self.expected.is_empty() { &[200..=299][..] } else { &self.expected };
        if expected.iter().any(|statuses| statuses.contains(&status)) {
            return Ok(self.reads.as_ref().map_or_else(Report::new, |reads| reads(head)));
        }
        let location = (300..400).contains(&status).then(|| head.header("location")).flatten();
        let location = location.map(|to| to.chars().take(100).flat_map(char::escape_debug).collect());
        let expected: Vec<_> = expected.iter().map(Statuses).map(|statuses| statuses.to_string()).collect();
        Err(Wrong::Status { status, location, expected: expected.join(" or ") })
    }

    /// The same within the time that there is. What has been answered counts, even if it is looked at late.
    async fn ask_in_time(&self, address: &Name) -> Result<Report, Wrong> {
        let Some(within) = self.within else { return self.ask(address).await };
        let mut ask = pin!(self.ask(address));
        let mut timer = pin!(time::after(time::now(), within).map(Sleep::until));
        poll_fn(|cx| {
            if let Poll::Ready(asked) = ask.as_mut().poll(cx) {
                return Poll::Ready(asked);
            }
            let elapsed = timer.as_mut().as_pin_mut().is_some_and(|timer| timer.poll_elapsed(cx));
            if elapsed { Poll::Ready(Err(Wrong::Late(within))) } else { Poll::Pending }
        })
        .await
    }
}

impl<S> Probe<S> for HttpProbe {
    fn probe(&self, endpoint: &Meta, _: Option<S>) -> Probing {
        let probe = self.clone();
        let address = target::address(self.at.as_ref(), endpoint);
        Box::pin(async move {
            let address = address?;
            // Nobody may have checked it, and what cannot be in a request must not get into one.
            probe.check_all(&Name::from_static("probe"))?;
            let asked = probe.ask_in_time(&address).await;
            asked.map_err(|wrong| -> BoxError {
                wrong.of(format_args!("{} http://{address}{}", probe.method, probe.path))
            })
        })
    }

    fn check(&self, component: &Name) -> Result<(), ConfigError> {
        self.check_all(component)
    }
}

impl HttpProbe {
    fn check_all(&self, component: &Name) -> Result<(), ConfigError> {
        let check = Check::of(component);
        let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let is_path = self.path.starts_with('/') && visible(&self.path);
        check.that(is_path, "probe.path", &self.path, "begins with `/`, visible ASCII only")?;
        for statuses in &self.expected {
            let some = !statuses.is_empty() && *statuses.start() >= 100 && *statuses.end() <= 999;
            check.that(some, "probe.expect", statuses, "at least one status, of 100 to 999")?;
        }
        check.that(self.within.is_none_or(|within| !within.is_zero()), "probe.within", self.within, "over 0")?;
        for (name, value) in &self.headers {
            let is_name = !name.is_empty()
                && name.bytes().all(is_in_names)
                && !OWN.iter().any(|own| name.eq_ignore_ascii_case(own));
            check.that(
                is_name,
                "probe.header",
                name,
                "a header's name, and none that says how the request is sent (`Host`: see `host`)",
            )?;
            let is_value = value.bytes().all(|byte| byte.is_ascii_graphic() || b" \t".contains(&byte));
            // Not the value itself, which may be a secret.
            check.that(is_value, "probe.header", name, "visible ASCII and spaces as its value")?;
        }
        if let Some(host) = &self.host {
            check.that(
                !host.is_empty() && visible(host),
                "probe.host",
                host,
                "visible ASCII, at least one character",
            )?;
        }
        check_at(&check, self.at.as_ref())
    }
}

/// Whether a byte may be in the name of a header (RFC 9110, token).
fn is_in_names(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Statuses as they are told of: a single one as itself.
struct Statuses<'a>(&'a RangeInclusive<u16>);

impl fmt::Display for Statuses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.start() == self.0.end() { write!(f, "{}", self.0.start()) } else { write!(f, "{:?}", self.0) }
    }
}

impl fmt::Debug for HttpProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without headers, which may hold secrets.
        f.debug_struct("HttpProbe")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("expected", &self.expected)
            .field("within", &self.within)
            .field("host", &self.host)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
