//! Sources of members that say what they are told to.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use steadfast::failover::{
    FailoverHandle,
    members::{Change, Membership},
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::support::*;

/// Changes that are sent.
pub(crate) struct Sent<S> {
    changes: UnboundedReceiver<Change<S>>,
    pub(crate) looks: Arc<AtomicU32>,
}

impl<S: Send + 'static> Membership<S> for Sent<S> {
    fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<Option<Change<S>>> {
        self.changes.poll_recv(cx)
    }

    fn look_again(&mut self) {
        self.looks.fetch_add(1, Relaxed);
    }
}

pub(crate) fn source<S>() -> (UnboundedSender<Change<S>>, Sent<S>) {
    let (sender, changes) = unbounded_channel();
    (sender, Sent { changes, looks: Arc::default() })
}

pub(crate) fn set<const N: usize>(nodes: [&Node; N]) -> Change<Node> {
    Change::Set(nodes.map(Node::endpoint).into())
}

pub(crate) fn keys<S>(handle: &FailoverHandle<S>) -> Vec<String> {
    let mut keys: Vec<_> = handle.snapshot().endpoints.iter().map(|of| of.meta.key().to_string()).collect();
    keys.sort();
    keys
}

/// How many there are of its service, but for the test's.
pub(crate) fn services(node: &Node) -> usize {
    Arc::strong_count(&node.calls) - 1
}

pub(crate) async fn soon() {
    tokio::time::sleep(MS).await;
}
