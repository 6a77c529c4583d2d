//! What application code asks, operators read and set.

use std::{
    fmt,
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use super::{
    DegradationSettings,
    shared::{Shared, bounded},
};
use crate::{
    ConfigError,
    telemetry::{Events, Name, Timers},
};

/// A level of degradation that follows the pressure. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Degradation {
    pub(super) shared: Arc<Shared>,
}

/// Work that can be left out. Made by [`Degradation::feature`], where its name is looked up once.
#[derive(Clone, Debug)]
pub struct Feature {
    shared: Arc<Shared>,
    rank: u8,
}

/// An event of a degradation.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum DegradationEvent {
    /// The level changed.
    LevelChanged(LevelChange),
    /// The settings were changed while running.
    SettingsChanged,
}

/// A change of the level, and why.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LevelChange {
    /// The level before.
    pub from: u8,
    /// The level from now on.
    pub to: u8,
    /// The pressure when it was read last: the highest of all sources.
    pub pressure: f64,
    /// The source which that was of, if it was over 0.
    pub source: Option<Name>,
    /// Whether it was set by hand, or back.
    pub by_hand: bool,
}

/// What a degradation looks like at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DegradationSnapshot {
    /// The level in force; 0: nothing is left out.
    pub level: u8,
    /// The highest level there is, at which all features are left out.
    pub highest: u8,
    /// The level that was set by hand, if one was.
    pub by_hand: Option<u8>,
    /// How long the level has been in force.
    pub since: Duration,
    /// The pressure when it was read last: the highest of all sources.
    pub pressure: f64,
    /// The source which that was of, if it was over 0.
    pub source: Option<Name>,
    /// Changes of the level.
    pub changes: u64,
    /// How often a feature was asked for and was to be left out.
    pub left_out: u64,
}

impl Degradation {
    /// The name of the degradation.
    pub fn name(&self) -> &Name {
        &self.shared.name
    }

    /// Whether to do the work of this feature now. A name that no feature has is allowed, always; see
    /// [`feature`](Self::feature) for one that is checked.
    pub fn allows(&self, feature: &str) -> bool {
        match self.rank(feature) {
            Some(rank) => self.shared.allows(rank),
            None => true,
        }
    }

    /// A feature by its name, to be kept; `None` if there is none of that name.
    pub fn feature(&self, name: &str) -> Option<Feature> {
        self.rank(name).map(|rank| Feature { shared: Arc::clone(&self.shared), rank })
    }

    fn rank(&self, name: &str) -> Option<u8> {
        let features = &self.shared.features;
        features.binary_search_by(|feature| feature.name.as_str().cmp(name)).ok().map(|at| features[at].rank)
    }

    /// The level in force; 0: nothing is left out.
    pub fn level(&self) -> u8 {
        self.shared.level()
    }

    /// Sets the level until [`release`](Self::release): for an operator who knows what is coming. A level over the highest
    /// leaves out as much as that.
    pub fn force(&self, level: u8) {
        self.shared.set(Some(level.min(self.shared.highest)));
    }

    /// Back to the level that follows from the pressure.
    pub fn release(&self) {
        self.shared.set(None);
    }

    /// Level, pressure and counts at this moment.
    pub fn snapshot(&self) -> DegradationSnapshot {
        let state = self.shared.state();
        let source = state.source.and_then(|number| self.shared.sources.get(number));
        DegradationSnapshot {
            level: state.in_force(),
            highest: self.shared.highest,
            by_hand: state.by_hand,
            since: self.shared.clock.now().saturating_sub(state.since),
            pressure: state.pressure,
            source: source.map(|source| source.name.clone()),
            changes: state.changes,
            left_out: self.shared.left_out.load(Ordering::Relaxed),
        }
    }

    /// The pressure of each source, read now.
    pub fn pressures(&self) -> Vec<(Name, f64)> {
        self.shared.sources.iter().map(|source| (source.name.clone(), bounded(source.pressure.pressure()))).collect()
    }

    /// The settings in force.
    pub fn settings(&self) -> DegradationSettings {
        **self.shared.settings.get()
    }

    /// Changes settings in place; the level stays. Of two concurrent changes the later one wins.
    ///
    /// # Errors
    /// The first setting that makes no sense; then nothing has changed.
    pub fn change(&self, edit: impl FnOnce(&mut DegradationSettings)) -> Result<(), ConfigError> {
        let mut settings = self.settings();
        edit(&mut settings);
        settings.check(&self.shared.name)?;
        self.shared.replace(settings);
        Ok(())
    }

    /// Events from now on. While a subscriber waits for one, the pressure is read even if nobody asks.
    pub fn subscribe(&self) -> Events<DegradationEvent> {
        let timers: Weak<dyn Timers> = Arc::<Shared>::downgrade(&self.shared);
        self.shared.events.subscribe().driving(timers)
    }
}

impl Feature {
    /// Whether to do its work now.
    pub fn is_allowed(&self) -> bool {
        self.shared.allows(self.rank)
    }
}

impl Shared {
    fn allows(&self, rank: u8) -> bool {
        let allowed = self.level() < rank;
        if !allowed {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
        allowed
    }
}

impl LevelChange {
    #[cfg(feature = "tracing")]
    pub(super) fn trace(&self, name: &Name) {
        macro_rules! event {
            ($level:ident) => {
                tracing::$level!(target: "steadfast", degradation = %name, "{self}")
            };
        }
        if self.to > self.from { event!(warn) } else { event!(info) }
    }
}

impl fmt::Display for LevelChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "level {} -> {} (", self.from, self.to)?;
        match &self.source {
            _ if self.by_hand => f.write_str("by hand")?,
            Some(source) => write!(f, "pressure {:.2} of `{source}`", self.pressure)?,
            None => write!(f, "pressure {:.2}", self.pressure)?,
        }
        f.write_str(")")
    }
}
