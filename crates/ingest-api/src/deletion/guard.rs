//! The delete guard: how much may go without a person.

/// How many rows are live in a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// All of them, those included that the load has just brought.
    pub live: u64,
    /// Those that were known before it began.
    pub before: u64,
}

/// How far it is worth to count an [`Extent`]; `None` is to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// All live rows.
    pub live: Option<u64>,
    /// Those from before.
    pub before: Option<u64>,
}

impl Limits {
    /// So far that [`judge`] decides about `would_delete` removals as if everything were counted.
    pub const fn to_judge(would_delete: u64) -> Self {
        Self {
            live: Some(would_delete.saturating_add(1)),
            before: Some(if would_delete > UNASKED {
                would_delete.saturating_mul(ONE_OF)
            } else {
                0
            }),
        }
    }
}

/// So many rows go unasked, however few there are.
const UNASKED: u64 = 10;

/// One of so many rows goes unasked (5 %).
const ONE_OF: u64 = 20;

/// How a load's question to the source differs from that of the load before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuestionChange {
    /// Not at all.
    None,
    /// No load of this scope was ever settled, but loads of other scopes were.
    Scope,
    /// The caller asked its source for something else.
    SourceFilter,
}

/// What the guard decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// So few that they may go.
    Apply,
    /// A person decides; the word says why.
    Hold(&'static str),
}

/// Judges `would_delete` removals. At most 10 rows or 5 % of those known before go unasked, whichever is more, and never
/// all that there is, nor anything after the question to the source changed.
pub fn judge(would_delete: u64, extent: Extent, change: QuestionChange) -> Verdict {
    if would_delete == 0 {
        return Verdict::Apply;
    }
    match change {
        QuestionChange::Scope => return Verdict::Hold("scope_changed"),
        QuestionChange::SourceFilter => return Verdict::Hold("source_filter_changed"),
        QuestionChange::None => {}
    }
    if would_delete >= extent.live {
        Verdict::Hold("empty_source")
    } else if would_delete > UNASKED && would_delete.saturating_mul(ONE_OF) > extent.before {
        Verdict::Hold("over_limit")
    } else {
        Verdict::Apply
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(would_delete: u64, of: u64) -> Verdict {
        judge(
            would_delete,
            Extent {
                live: of,
                before: of,
            },
            QuestionChange::None,
        )
    }

    #[test]
    fn the_limits_are_ten_rows_or_five_percent_and_never_everything() {
        assert_eq!(plain(50, 1000), Verdict::Apply);
        assert_eq!(plain(51, 1000), Verdict::Hold("over_limit"));
        assert_eq!(plain(3, 12), Verdict::Apply);
        assert_eq!(plain(10, 12), Verdict::Apply);
        assert_eq!(plain(11, 12), Verdict::Hold("over_limit"));
        assert_eq!(plain(1, 1), Verdict::Hold("empty_source"));
    }

    #[test]
    fn after_another_question_nothing_goes_unasked() {
        let extent = Extent {
            live: 1000,
            before: 1000,
        };
        for (change, reason) in [
            (QuestionChange::Scope, "scope_changed"),
            (QuestionChange::SourceFilter, "source_filter_changed"),
        ] {
            assert_eq!(judge(0, extent, change), Verdict::Apply);
            assert_eq!(judge(1, extent, change), Verdict::Hold(reason));
        }
    }

    #[test]
    fn new_rows_do_not_make_room_for_more_removals() {
        let extent = Extent {
            live: 20_500,
            before: 500,
        };
        assert_eq!(
            judge(500, extent, QuestionChange::None),
            Verdict::Hold("over_limit")
        );
    }

    proptest! {
        #[test]
        fn counting_as_far_as_needed_decides_the_same(would_delete in 0u64..500, before in 0u64..20_000, new in 0u64..1000) {
            let extent = Extent { live: before + new, before };
            let limits = Limits::to_judge(would_delete);
            let counted = Extent {
                live: limits.live.map_or(extent.live, |limit| limit.min(extent.live)),
                before: limits.before.map_or(extent.before, |limit| limit.min(extent.before)),
            };
            let judged = judge(would_delete, extent, QuestionChange::None);
            prop_assert_eq!(judge(would_delete, counted, QuestionChange::None), judged);
        }

        #[test]
        fn whatever_goes_unasked_is_within_both_limits(would_delete in 0u64..100_000, before in 0u64..100_000, new in 0u64..1000) {
            let would_delete = would_delete.min(before);
            let extent = Extent { live: before + new, before };
            if judge(would_delete, extent, QuestionChange::None) == Verdict::Apply {
                prop_assert!(would_delete <= 10 || would_delete * 100 <= before * 5);
                prop_assert!(would_delete == 0 || would_delete < extent.live);
            }
        }
    }
}
