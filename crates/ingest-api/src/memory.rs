//! One budget of memory for all bodies that are read, decoded and merged at the same time.
//!
//! A body takes its share as it grows and gives all of it back at its end. One body at a time may go beyond the budget:
//! so a large body always gets through, and of several half-read ones that need more, one goes on while the others wait
//! and are then asked to come again. Nobody waits longer than [`PATIENCE`], so none can wait for each other for ever.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::error::ApiError;

/// How long a body waits for memory.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// A body takes this much without asking: connections are bounded in number.
const UNASKED: usize = 64 * 1024;
/// Shares grow by steps of this size.
const STEP: usize = 256 * 1024;

/// The budget.
#[derive(Debug, Clone)]
pub struct Memory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bytes: usize,
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    bytes: usize,
    peak: usize,
    has_large: bool,
}

impl Memory {
    /// A budget of so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Inner {
            bytes,
            taken: Mutex::default(),
            freed: Notify::new(),
        }))
    }

    /// A share that is empty yet.
    pub fn share(&self) -> Share {
        Share {
            memory: self.clone(),
            bytes: 0,
            is_large: false,
        }
    }

    /// What is taken now, in bytes.
    pub fn taken(&self) -> usize {
        self.lock().bytes
    }

    /// The most that was ever taken, in bytes.
    pub fn peak(&self) -> usize {
        self.lock().peak
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // Only numbers are changed under the lock, all of them or none.
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one body has taken; given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    memory: Memory,
    bytes: usize,
    is_large: bool,
}

impl Share {
    /// Grows to so many bytes, if they are there. Never shrinks.
    pub fn try_hold(&mut self, bytes: usize) -> bool {
        if bytes <= UNASKED || bytes <= self.bytes {
            return true;
        }
        let wanted = bytes.next_multiple_of(STEP);
        let mut taken = self.memory.lock();
        let total = taken.bytes - self.bytes + wanted;
        if total > self.memory.0.bytes && !self.is_large {
            if taken.has_large {
                return false;
            }
            taken.has_large = true;
            self.is_large = true;
        }
        taken.bytes = total;
        taken.peak = taken.peak.max(total);
        self.bytes = wanted;
        true
    }

    /// Grows to so many bytes; waits a moment for them, then asks the caller to come again.
    pub async fn hold(&mut self, bytes: usize) -> Result<(), ApiError> {
        let memory = self.memory.clone();
        let until = Instant::now() + PATIENCE;
        loop {
            // Before asking: what is given back in between is not missed.
            let freed = memory.0.freed.notified();
            if self.try_hold(bytes) {
                return Ok(());
            }
            tokio::time::timeout_at(until, freed)
                .await
                .map_err(|_| ApiError::Busy)?;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.bytes > 0 {
            let mut taken = self.memory.lock();
            taken.bytes -= self.bytes;
            taken.has_large &= !self.is_large;
            drop(taken);
            self.memory.0.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    #[test]
    fn one_body_alone_may_grow_beyond_the_budget_and_gives_everything_back() {
        let memory = Memory::new(4 * MIB);
        let (mut one, mut other) = (memory.share(), memory.share());
        assert!(one.try_hold(3 * MIB) && other.try_hold(MIB));
        assert!(one.try_hold(20 * MIB), "the first that needs more gets it");
        assert!(!other.try_hold(2 * MIB), "the second waits");
        assert!(other.try_hold(MIB), "and keeps what it has");
        drop(one);
        assert!(other.try_hold(30 * MIB));
        drop(other);
        assert_eq!((memory.taken(), memory.peak()), (0, 30 * MIB));
        assert!(
            memory.share().try_hold(5 * MIB),
            "the place of the large one is free"
        );
    }

    #[test]
    fn a_body_that_holds_almost_nothing_does_not_count() {
        let memory = Memory::new(MIB);
        let mut large = memory.share();
        assert!(large.try_hold(8 * MIB));
        assert!(memory.share().try_hold(UNASKED));
        assert!(!memory.share().try_hold(UNASKED + 1));
    }

    #[tokio::test]
    async fn who_waits_in_vain_is_asked_to_come_again_and_who_does_not_goes_on() {
        let memory = Memory::new(MIB);
        let mut large = memory.share();
        large.hold(8 * MIB).await.expect("alone");
        let mut other = memory.share();
        assert!(matches!(other.hold(MIB).await, Err(ApiError::Busy)));
        let waiting = tokio::spawn(async move { other.hold(MIB).await });
        tokio::task::yield_now().await;
        drop(large);
        waiting.await.expect("ends").expect("the memory came back");
    }
}
