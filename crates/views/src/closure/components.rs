//! What can be reached from where, in any directed graph: strongly connected components, then lists of states handed
//! from component to component. No recursion: a chain may be long.

use super::graph::Limits;

/// The closure is larger than may be kept, or takes too long to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMuch;

/// Calls `report` with each start and what is reached from it by one step or more, until it says no.
pub(crate) fn closures(
    steps: &[Vec<usize>],
    starts: impl Iterator<Item = usize> + Clone,
    limits: Limits,
    mut report: impl FnMut(usize, &[usize]) -> bool,
) -> Result<(), TooMuch> {
    let components = Components::find(steps, starts.clone());
    let reached = components.reach(steps, limits)?;
    for start in starts {
        if !report(start, &reached[components.of[start]]) {
            return Err(TooMuch);
        }
    }
    Ok(())
}

const NONE: usize = usize::MAX;

/// Strongly connected components, in an order in which each comes after all that it leads to.
struct Components {
    members: Vec<Vec<usize>>,
    /// The component of each state that was met.
    of: Vec<usize>,
}

impl Components {
    /// Tarjan's algorithm with a stack of its own.
    fn find(steps: &[Vec<usize>], starts: impl Iterator<Item = usize>) -> Self {
        let mut found = Self {
            members: Vec::new(),
            of: vec![NONE; steps.len()],
        };
        let mut order = vec![NONE; steps.len()];
        let mut lowest = vec![NONE; steps.len()];
        let mut met = 0;
        let mut open = Vec::new();
        // A state and how many of its steps were followed.
        let mut path: Vec<(usize, usize)> = Vec::new();
        for start in starts {
            if order[start] == NONE {
                path.push((start, 0));
            }
            while let Some((state, followed)) = path.pop() {
                if followed == 0 {
                    (order[state], lowest[state]) = (met, met);
                    met += 1;
                    open.push(state);
                }
                if let Some(next) = steps[state].get(followed).copied() {
                    path.push((state, followed + 1));
                    if order[next] == NONE {
                        path.push((next, 0));
                    } else if found.of[next] == NONE {
                        lowest[state] = lowest[state].min(order[next]);
                    }
                    continue;
                }
                if lowest[state] == order[state] {
                    found.close(state, &mut open);
                }
                if let Some((before, _)) = path.last() {
                    lowest[*before] = lowest[*before].min(lowest[state]);
                }
            }
        }
        found
    }

    /// Everything that was opened since its first state is one component.
    fn close(&mut self, first: usize, open: &mut Vec<usize>) {
        let mut members = Vec::new();
        while let Some(state) = open.pop() {
            self.of[state] = self.members.len();
            members.push(state);
            if state == first {
                break;
            }
        }
        self.members.push(members);
    }

    /// What is reached from each component by one step or more.
    fn reach(&self, steps: &[Vec<usize>], limits: Limits) -> Result<Vec<Vec<usize>>, TooMuch> {
        let mut reached: Vec<Vec<usize>> = Vec::with_capacity(self.members.len());
        // By which component a state, or a component, was met last.
        let mut met_by = vec![NONE; steps.len()];
        let mut followed_by = vec![NONE; self.members.len()];
        let (mut work, mut held) = (0, 0);
        for (number, members) in self.members.iter().enumerate() {
            let mut mine = Vec::new();
            let mut add = |state: usize, mine: &mut Vec<usize>| {
                if met_by[state] != number {
                    met_by[state] = number;
                    mine.push(state);
                }
            };
            for next in members.iter().flat_map(|member| &steps[*member]).copied() {
                work += 1;
                let theirs = self.of[next];
                if theirs == number {
                    // One step inside leads to all of it.
                    if followed_by[number] != number {
                        followed_by[number] = number;
                        work += members.len();
                        for state in members {
                            add(*state, &mut mine);
                        }
                    }
                    continue;
                }
                add(next, &mut mine);
                if followed_by[theirs] != number {
                    followed_by[theirs] = number;
                    work += reached[theirs].len();
                    for state in &reached[theirs] {
                        add(*state, &mut mine);
                    }
                }
            }
            held += mine.len();
            if work > limits.work || held > limits.pairs.saturating_mul(4) {
                return Err(TooMuch);
            }
            reached.push(mine);
        }
        Ok(reached)
    }
}
