//! How many calls an emulated cloud lets through, so that the pace of a workstation can be measured against it.

/// Buckets by their names: how many calls each holds, and how many come back each second.
pub type Rates = Vec<(&'static str, (f64, f64))>;

/// How many calls a cloud lets through.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Buckets {
    /// As many as come.
    Open,
    /// As the provider publishes it, from full buckets on.
    Published,
    /// As the provider publishes it, from buckets on that have so many calls left.
    Left(f64),
}

impl Buckets {
    /// Reads `open`, `published` or a number of calls.
    pub fn read(text: &str) -> Option<Self> {
        match text {
            "open" => Some(Self::Open),
            "published" => Some(Self::Published),
            left => left.parse().ok().map(Self::Left),
        }
    }

    /// How many calls each bucket has left at the beginning, where it is not full.
    pub fn left(self) -> Option<f64> {
        if let Self::Left(left) = self { Some(left) } else { None }
    }

    /// Something, unless it is open.
    pub fn enforce<T>(self, rates: T) -> Option<T> {
        (self != Self::Open).then_some(rates)
    }

    /// What is published, with what each bucket has at the beginning in place of what it holds; nothing where it is open.
    pub fn at_the_beginning(self, published: &[(&'static str, (f64, f64))]) -> Rates {
        let begin = |burst: f64| self.left().map_or(burst, |left| left.min(burst));
        let published = self.enforce(published).unwrap_or_default().iter();
        published.map(|(name, (burst, per_second))| (*name, (begin(*burst), *per_second))).collect()
    }
}
