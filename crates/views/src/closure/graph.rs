//! Steps between nodes, and what follows from them.
//!
//! Where one stands is more than a node: whether an eligible membership lies behind, and whether one is in the node in
//! one's own right, decide what comes next. So the search is among states: a node in each of these four ways.

use std::collections::HashMap;

use uuid::Uuid;

use super::components::{TooMuch, closures};

/// A group that one is in, or a package that one was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Node {
    pub(crate) id: Uuid,
    pub(crate) is_package: bool,
}

/// A step from one node to another, as the view `access_edges` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    pub(crate) from: Node,
    pub(crate) to: Node,
    pub(crate) is_eligible: bool,
    pub(crate) is_direct: bool,
    pub(crate) needs_direct: bool,
}

/// Who has `from` in its own right is in `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pair {
    pub(crate) from: Node,
    pub(crate) to: Node,
    pub(crate) is_eligible: bool,
    /// By some way of this eligibility, in its own right.
    pub(crate) is_direct: bool,
}

/// How much a closure may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Pairs that are kept at most, and states that are held in memory for them.
    pub(crate) pairs: usize,
    /// Steps of the computation.
    pub(crate) work: usize,
}

impl Limits {
    pub(crate) const USUAL: Self = Self {
        pairs: 2_000_000,
        work: 200_000_000,
    };
}

/// The pairs between nodes of which the second gives something (`exits`, each of which leads to itself).
pub(crate) fn closure(
    edges: &[Edge],
    exits: &[Node],
    limits: Limits,
) -> Result<Vec<Pair>, TooMuch> {
    let mut states = States::default();
    for exit in exits {
        states.number(*exit);
    }
    let is_exit = exits.len();
    for edge in edges {
        states.number(edge.from);
        states.number(edge.to);
    }
    let steps = states.steps(edges);
    let starts = (0..states.nodes.len()).map(|node| state(node, false, true));
    let mut pairs = Vec::new();
    closures(&steps, starts, limits, |start, reached| {
        let from = start / WAYS;
        // By target and eligibility; direct wins. The start itself is reached by no step at all.
        let mut found: Vec<(usize, bool, bool)> = reached
            .iter()
            .copied()
            .chain((from < is_exit).then_some(start))
            .filter(|reached| reached / WAYS < is_exit)
            .map(|reached| (reached / WAYS, is_eligible(reached), !is_direct(reached)))
            .collect();
        found.sort_unstable();
        found.dedup_by_key(|(to, is_eligible, _)| (*to, *is_eligible));
        pairs.extend(
            found
                .into_iter()
                .map(|(to, is_eligible, is_indirect)| Pair {
                    from: states.nodes[from],
                    to: states.nodes[to],
                    is_eligible,
                    is_direct: !is_indirect,
                }),
        );
        pairs.len() <= limits.pairs
    })?;
    Ok(pairs)
}

const WAYS: usize = 4;

const fn state(node: usize, is_eligible: bool, is_direct: bool) -> usize {
    node * WAYS + (is_eligible as usize) * 2 + is_direct as usize
}

const fn is_eligible(state: usize) -> bool {
    state % WAYS >= 2
}

const fn is_direct(state: usize) -> bool {
    state % 2 == 1
}

/// Nodes by number: the exits first.
#[derive(Default)]
struct States {
    nodes: Vec<Node>,
    numbers: HashMap<Node, usize>,
}

impl States {
    fn number(&mut self, node: Node) -> usize {
        *self.numbers.entry(node).or_insert_with(|| {
            self.nodes.push(node);
            self.nodes.len() - 1
        })
    }

    /// Where each state leads to.
    fn steps(&self, edges: &[Edge]) -> Vec<Vec<usize>> {
        let mut steps = vec![Vec::new(); self.nodes.len() * WAYS];
        for edge in edges {
            let (from, to) = (self.numbers[&edge.from], self.numbers[&edge.to]);
            for was_eligible in [false, true] {
                let next = state(to, was_eligible || edge.is_eligible, edge.is_direct);
                steps[state(from, was_eligible, true)].push(next);
                if !edge.needs_direct {
                    steps[state(from, was_eligible, false)].push(next);
                }
            }
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        pairs: 1_000_000,
        work: 10_000_000,
    };

    fn group(number: u128) -> Node {
        Node {
            id: Uuid::from_u128(number),
            is_package: false,
        }
    }

    fn nested(inner: u128, outer: u128) -> Edge {
        Edge {
            from: group(inner),
            to: group(outer),
            is_eligible: false,
            is_direct: false,
            needs_direct: false,
        }
    }

    #[test]
    fn a_chain_beyond_the_limit_is_given_up_and_a_short_one_is_complete() {
        let chain = |length: u128| -> (Vec<Edge>, Vec<Node>) {
            let edges = (1..length).map(|n| nested(n, n + 1)).collect();
            (edges, (1..=length).map(group).collect())
        };
        let (edges, exits) = chain(1000);
        let pairs = closure(&edges, &exits, LIMITS).expect("fits");
        assert_eq!(pairs.len(), 1000 * 1001 / 2);
        let (edges, exits) = chain(10_000);
        closure(&edges, &exits, LIMITS).expect_err("fifty million pairs");
    }

    #[test]
    fn a_clique_costs_no_more_than_its_pairs() {
        let size = 500;
        let edges: Vec<Edge> = (1..=size)
            .flat_map(|inner| (1..=size).map(move |outer| nested(inner, outer)))
            .collect();
        let exits: Vec<Node> = (1..=size).map(group).collect();
        let pairs = closure(&edges, &exits, LIMITS).expect("fits");
        assert_eq!(pairs.len() as u128, size * size);
        // In its own right each is only in itself.
        assert_eq!(pairs.iter().filter(|p| p.is_direct).count() as u128, size);
    }
}
