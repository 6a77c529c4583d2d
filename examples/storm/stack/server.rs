//! The kinds of layers that a server has: around each backend's handler, one of each for each backend.

use std::{convert::Infallible, sync::Arc, time::Duration};

use steadfast::{
    Error,
    shed::Shed,
    storm::{Handler, Response, Work},
    timeout::Timeout,
};
use tower::{Layer, util::BoxCloneSyncService};

use super::{
    fields::{Field, Fields, Setting},
    layers::{CHECKED, Kind, queue, rate, set},
    value::Value,
};
use crate::problem::Problem;

/// A service between two layers of a server.
pub(crate) type Within = BoxCloneSyncService<Work, Response, Error<Infallible>>;

/// Puts a layer with a state of its own around a backend's service; the number is that of its workers.
pub(crate) type WrapServer = Arc<dyn Fn(u32, Within) -> Within + Send + Sync>;

/// What there is, by name.
pub(crate) const SERVER_KINDS: [(&str, Kind<WrapServer>); 4] =
    [("bulkhead", bulkhead), ("shed", shed), ("timeout", timeout), ("rate_limit", rate_limit)];

/// All of a server's layers, from outside in.
pub(crate) fn around(handler: Handler, wraps: &[WrapServer]) -> Within {
    use tower::ServiceExt as _;
    let workers = u32::try_from(handler.workers()).unwrap_or(u32::MAX);
    let inner = Within::new(handler.map_err(Error::Inner));
    wraps.iter().rev().fold(inner, |inner, wrap| wrap(workers, inner))
}

/// How many calls run at once: so many, or as many as there are workers.
#[derive(Clone, Copy, Debug)]
enum Places {
    Fixed(u32),
    Workers,
}

impl Setting for Places {
    fn read(field: Field<'_>) -> Result<Self, Problem> {
        match field.value() {
            Value::Text(text) if text == "workers" => Ok(Self::Workers),
            Value::Whole(_) => u32::read(field).map(Self::Fixed),
            _ => Err(field.wrong("a whole number or \"workers\"")),
        }
    }
}

fn bulkhead(fields: &Fields<'_>, name: String) -> Result<WrapServer, Problem> {
    let places: Places = fields.need("max_concurrent")?;
    // The number of workers is known to be one that can be.
    let first = if let Places::Fixed(places) = places { places } else { 1 };
    let queue = queue(fields, name, first)?;
    Ok(Arc::new(move |workers, inner| {
        let layer = queue.clone().build().expect(CHECKED);
        if let Places::Workers = places {
            layer.handle().change(|settings| settings.max_concurrent = workers).expect(CHECKED);
        }
        Within::new(layer.layer(inner))
    }))
}

fn shed(fields: &Fields<'_>, name: String) -> Result<WrapServer, Problem> {
    let places: Places = fields.need("max_concurrent")?;
    // As in `bulkhead`.
    let mut builder = Shed::builder(if let Places::Fixed(places) = places { places } else { 1 }).name(name);
    set!(builder, fields: max_waiting target interval adaptive_lifo);
    builder.clone().build().map_err(|error| fields.refused(&error, &[]))?;
    Ok(Arc::new(move |workers, inner| {
        let layer = builder.clone().build().expect(CHECKED);
        if let Places::Workers = places {
            layer.handle().change(|settings| settings.max_concurrent = workers).expect(CHECKED);
        }
        Within::new(layer.layer(inner))
    }))
}

fn timeout(fields: &Fields<'_>, name: String) -> Result<WrapServer, Problem> {
    // A server does not know the deadline of the world: what it has of those who ask is in the call.
    let limit: Duration = fields.need("total")?;
    let builder = Timeout::builder(limit).name(name);
    builder.clone().build().map_err(|error| fields.refused(&error, &[("limit", "total")]))?;
    Ok(Arc::new(move |_, inner| Within::new(builder.clone().build().expect(CHECKED).layer(inner))))
}

fn rate_limit(fields: &Fields<'_>, name: String) -> Result<WrapServer, Problem> {
    let builder = rate(fields, name)?;
    Ok(Arc::new(move |_, inner| Within::new(builder.clone().build().expect(CHECKED).layer(inner))))
}
