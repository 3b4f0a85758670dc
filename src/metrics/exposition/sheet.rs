//! Families of numbers: a name, a help text, and rows that are told apart by labels.

use std::{borrow::Cow, fmt};

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet},
    metrics::MetricType,
    registry::Unit,
};

use crate::observe::tally::{By, Counter, Distribution, Gauge, Histogram, Label};

/// Names and values.
pub(super) type Labels = Vec<(&'static str, Cow<'static, str>)>;

/// What is written to.
pub(super) struct Sheet<'a>(DescriptorEncoder<'a>);

/// A name as the conventions want it: without unit and `_total`, which are put behind it.
#[derive(Clone)]
pub(super) struct Name(pub(super) &'static str, pub(super) Option<Unit>);

impl From<&'static str> for Name {
    fn from(name: &'static str) -> Self {
        Self(name, None)
    }
}

/// A number of seconds.
pub(super) fn seconds(name: &'static str) -> Name {
    Name(name, Some(Unit::Seconds))
}

/// A number of bytes.
pub(super) fn bytes(name: &'static str) -> Name {
    Name(name, Some(Unit::Bytes))
}

impl<'a> Sheet<'a> {
    pub(super) fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    fn family(
        &mut self,
        name: &Name,
        help: &str,
        kind: MetricType,
        mut write: impl FnMut(&mut MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let Name(name, unit) = name;
        write(&mut self.0.encode_descriptor(name, help, unit.as_ref(), kind)?)
    }

    /// Numbers that only grow.
    pub(super) fn counter<V: EncodeCounterValue>(
        &mut self,
        name: impl Into<Name>,
        help: &str,
        rows: impl IntoIterator<Item = (Labels, V)>,
    ) -> fmt::Result {
        let mut rows = rows.into_iter();
        self.family(&name.into(), help, MetricType::Counter, |encoder| {
            rows.try_for_each(|(labels, value)| {
                encoder.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)
            })
        })
    }

    /// Numbers that come and go.
    pub(super) fn gauge<V: EncodeGaugeValue>(
        &mut self,
        name: impl Into<Name>,
        help: &str,
        rows: impl IntoIterator<Item = (Labels, V)>,
    ) -> fmt::Result {
        let mut rows = rows.into_iter();
        self.family(&name.into(), help, MetricType::Gauge, |encoder| {
            rows.try_for_each(|(labels, value)| encoder.encode_family(&labels)?.encode_gauge(&value))
        })
    }

    /// Durations.
    pub(super) fn histogram(
        &mut self,
        name: &'static str,
        help: &str,
        rows: impl IntoIterator<Item = (Labels, Distribution)>,
    ) -> fmt::Result {
        let mut rows = rows.into_iter();
        self.family(&seconds(name), help, MetricType::Histogram, |encoder| {
            rows.try_for_each(|(labels, Distribution { buckets, count, sum })| {
                encoder.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
            })
        })
    }

    /// Facts in the form of labels.
    pub(super) fn info(&mut self, name: &'static str, help: &str, labels: Labels) -> fmt::Result {
        self.family(&name.into(), help, MetricType::Info, |encoder| encoder.encode_info(&labels))
    }
}

/// A single row.
pub(super) fn only<V>(value: V) -> [(Labels, V); 1] {
    [(Labels::new(), value)]
}

/// What a number shows.
pub(super) trait Shown {
    type Value;

    fn shown(&self) -> Self::Value;
}

impl Shown for Counter {
    type Value = u64;

    fn shown(&self) -> u64 {
        self.value()
    }
}

impl Shown for Gauge {
    type Value = u64;

    fn shown(&self) -> u64 {
        self.value()
    }
}

impl Shown for Histogram {
    type Value = Distribution;

    fn shown(&self) -> Distribution {
        self.distribution()
    }
}

fn label<L: Label>(label: L) -> (&'static str, Cow<'static, str>) {
    (L::NAME, Cow::Borrowed(label.text()))
}

/// The rows of numbers with one label.
pub(super) fn by_one<L: Label, T: Shown>(numbers: &By<L, T>) -> impl Iterator<Item = (Labels, T::Value)> {
    numbers.iter().map(|(one, number)| (vec![label(one)], number.shown()))
}

/// The rows of numbers with two labels.
pub(super) fn by_two<K: Label, L: Label, T: Shown>(
    numbers: &By<K, By<L, T>>,
) -> impl Iterator<Item = (Labels, T::Value)> {
    numbers.iter().flat_map(|(one, inner)| {
        inner.iter().map(move |(two, number)| (vec![label(one), label(two)], number.shown()))
    })
}

#[cfg(test)]
mod tests {
    use prometheus_client::{collector::Collector, encoding::text, registry::Registry};

    use super::*;

    #[derive(Debug)]
    struct Odd;

    impl Collector for Odd {
        fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
            let mut sheet = Sheet::new(encoder);
            let labels = |text: &str| vec![("tag", Cow::Owned(text.to_owned()))];
            sheet.gauge("odd", "Odd labels", [(labels("a\"b\\c\nd"), 1_u64), (labels(""), 2)])?;
            sheet.counter(bytes("plain"), "No labels", only(3_u64))
        }
    }

    #[test]
    fn labels_cannot_break_out_of_their_quotes() {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Odd));
        let mut page = String::new();
        text::encode(&mut page, &registry).unwrap();
        assert!(page.contains("odd{tag=\"a\\\"b\\\\c\\nd\"} 1\n"), "{page}");
        assert!(page.contains("\nodd{tag=\"\"} 2\n") && page.contains("\nplain_bytes_total 3\n"), "{page}");
    }
}
