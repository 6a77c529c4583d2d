//! What a probe connects to, and what is said when that fails.

use std::{fmt, io, time::Duration};

use tokio::net::TcpStream;

use crate::{BoxError, failover::Meta, telemetry::Name};

/// What a probe has found instead of a pass. Read at three in the morning, so it says what there was and what should
/// have been.
#[derive(Debug, thiserror::Error)]
pub(super) enum Wrong {
    #[error(
        "endpoint `{0}` has no address to probe; give it one with `.address(\"host:port\")`, or the probe with `.at(\"host:port\")`"
    )]
    NoAddress(Name),
    #[error("`{0}` is no address; expected host:port, as in db1:5432 or [::1]:5432")]
    NotAnAddress(Name),
    #[error("{}", Io(.0))]
    Io(io::Error),
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error("the connection was closed without an answer")]
    Closed,
    #[error("the connection was closed in the middle of the head")]
    CutOff,
    #[error("the head is longer than 16 KiB")]
    TooLong,
    #[error("it speaks TLS, which this probe does not")]
    Tls,
    #[error("it does not speak HTTP/1.1: \"{0}\"")]
    NotHttp(String),
    #[error("the head cannot be read: {0}")]
    Malformed(String),
    #[error("status {status}{}, expected {expected}", Location(.location))]
    Status { status: u16, location: Option<String>, expected: String },
}

impl Wrong {
    /// As the error of a probe: what was asked, and what was wrong.
    pub(super) fn of(self, asked: impl fmt::Display) -> BoxError {
        format!("{asked}: {self}").into()
    }
}

/// An I/O error in a few words where there are some: "connection refused" without a number.
struct Io<'a>(&'a io::Error);

impl fmt::Display for Io<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use io::ErrorKind::{
            AddrNotAvailable, ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable,
            NetworkUnreachable, TimedOut,
        };
        match self.0.kind() {
            kind @ (AddrNotAvailable | ConnectionAborted | ConnectionRefused | ConnectionReset | HostUnreachable
            | NetworkUnreachable | TimedOut) => write!(f, "{kind}"),
            _ => write!(f, "{}", self.0),
        }
    }
}

/// Where a redirect leads to.
struct Location<'a>(&'a Option<String>);

impl fmt::Display for Location<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |location| write!(f, " (to {location})"))
    }
}

/// Where a probe connects to: the same place for all, or each endpoint's address.
pub(super) fn address(fixed: Option<&Name>, endpoint: &Meta) -> Result<Name, Wrong> {
    let address = fixed.or(endpoint.address()).ok_or_else(|| Wrong::NoAddress(endpoint.key().clone()))?;
    if is_address(address) { Ok(address.clone()) } else { Err(Wrong::NotAnAddress(address.clone())) }
}

/// Whether this is `host:port`, and nothing that has another meaning in a request. Brackets are needed around an IPv6
/// address: without them it is not clear where it ends.
pub(super) fn is_address(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
    };
    is_port && is_host
}

/// A fresh connection. Dropping the future gives it up.
pub(super) async fn connect(address: &Name) -> Result<TcpStream, Wrong> {
    TcpStream::connect(address.as_str()).await.map_err(Wrong::Io)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_a_host_and_a_port() {
        for good in ["db1:5432", "10.0.0.1:80", "[::1]:5432", "[fe80::1]:1", "a-b_c.example.com:65535"] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "",
            "db1",
            ":80",
            "db1:",
            "db1:0",
            "db1:65536",
            "db1:+80",
            "db1:http",
            "::1:80",
            "[::1]",
            "[db1]:80",
            "[::1:80",
            "http://db1:80",
            "db1/x:80",
            "db 1:80",
            "db1\r\nX-Evil:80",
            "ü:80",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }

    #[test]
    fn errors_are_told_in_few_words() {
        let refused = io::Error::from_raw_os_error(111);
        if refused.kind() == io::ErrorKind::ConnectionRefused {
            assert_eq!(Wrong::Io(refused).to_string(), "connection refused");
        }
        let other = io::Error::other("no such host is known");
        assert_eq!(Wrong::Io(other).of("TCP db1:5432").to_string(), "TCP db1:5432: no such host is known");
    }
}
