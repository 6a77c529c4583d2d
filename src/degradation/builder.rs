//! Configures a degradation.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    Degradation, DegradationSettings, Pressure,
    shared::{Rank, Shared, Source},
};
use crate::{ConfigError, settings::Check, telemetry::Name};

/// Sets up a degradation; see [`DegradationSettings`] for what each setting means. Nothing is checked before
/// [`build`](Self::build).
#[must_use = "a builder does nothing until `build`"]
pub struct DegradationBuilder {
    name: Name,
    features: Vec<Rank>,
    sources: Vec<Source>,
    settings: DegradationSettings,
}

impl Degradation {
    /// Starts without features and sources, with the default settings.
    pub fn builder() -> DegradationBuilder {
        DegradationBuilder {
            name: Name::from_static("degradation"),
            features: Vec::new(),
            sources: Vec::new(),
            settings: DegradationSettings::default(),
        }
    }
}

impl DegradationBuilder {
    /// What the degradation is called in events and metrics. Default: `degradation`.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// Work that can be left out, from level `rank` on: those of rank 1 go first. The highest rank is the highest level.
    pub fn feature(mut self, name: impl Into<Name>, rank: u8) -> Self {
        self.features.push(Rank { name: name.into(), rank });
        self
    }

    /// Something whose pressure counts; of several the highest. A handle, or a function:
    ///
    /// ```
    /// use steadfast::{bulkhead::BulkheadLayer, degradation::Degradation, stall};
    ///
    /// let bulkhead = BulkheadLayer::default();
    /// let degradation = Degradation::builder()
    ///     .feature("recommendations", 1)
    ///     .source("database", bulkhead.handle())
    ///     .source("stalls", stall::pressure)
    ///     .source("memory", || 0.3)
    ///     .build();
    /// ```
    pub fn source(mut self, name: impl Into<Name>, pressure: impl Pressure + Send + Sync + 'static) -> Self {
        self.sources.push(Source { name: name.into(), pressure: Box::new(pressure) });
        self
    }

    /// All settings at once.
    pub fn settings(mut self, settings: DegradationSettings) -> Self {
        self.settings = settings;
        self
    }

    /// The level rises by one each time that the pressure has been `pressure` or more for so long. Default: 0.8, 1 s.
    pub fn rise(mut self, pressure: f64, after: Duration) -> Self {
        (self.settings.rise_at, self.settings.rise_after) = (pressure, after);
        self
    }

    /// The level falls by one each time that the pressure has been under `pressure` for so long. Default: 0.5, 5 s.
    pub fn fall(mut self, pressure: f64, after: Duration) -> Self {
        (self.settings.fall_at, self.settings.fall_after) = (pressure, after);
        self
    }

    /// The pressure is read at most so often. Default: 100 ms.
    pub fn every(mut self, every: Duration) -> Self {
        self.settings.every = every;
        self
    }

    /// Checks features and settings.
    ///
    /// # Errors
    /// The first that makes no sense, with what is allowed.
    pub fn build(mut self) -> Result<Degradation, ConfigError> {
        self.settings.check(&self.name)?;
        let check = Check::of(&self.name);
        check.that(!self.features.is_empty(), "features", 0, "at least 1")?;
        for feature in &self.features {
            check.that(feature.rank > 0, "rank", feature.rank, "1 to 255")?;
        }
        self.features.sort_by(|one, other| one.name.cmp(&other.name));
        for pair in self.features.windows(2) {
            check.that(pair[0].name != pair[1].name, "feature", &pair[0].name, "each name once")?;
        }
        let shared = Shared::new(self.name, self.features, self.sources, self.settings);
        Ok(Degradation { shared: Arc::new(shared) })
    }
}

impl fmt::Debug for DegradationBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DegradationBuilder")
            .field("name", &self.name)
            .field("features", &self.features)
            .field("sources", &self.sources)
            .field("settings", &self.settings)
            .finish()
    }
}
