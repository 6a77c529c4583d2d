//! How important a call is: whom layers refuse first when not all can be served.

/// How important a call is, from the least to the most. Carried by the [call context](crate::context).
///
/// The names are those of [Handling Overload](https://sre.google/sre-book/handling-overload/) in Google's book on site
/// reliability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Work that nobody waits for, or that can be left out: refused first.
    Sheddable,
    /// What is not said to be otherwise.
    #[default]
    Normal,
    /// What must go on when all else is refused.
    Critical,
}

impl Priority {
    /// All of them, from the least to the most important.
    pub const ALL: [Self; 3] = [Self::Sheddable, Self::Normal, Self::Critical];
}
