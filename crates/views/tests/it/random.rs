//! Random graphs that come out the same in every run.

use uuid::Uuid;

use crate::{
    model::{Assignment, Containment, Model},
    register::{Holder, id},
};

/// A small generator of pseudo-random numbers (xorshift): a failing seed is in the assertion's message.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

const USERS: u128 = 4;
const GROUPS: u128 = 5;
const THINGS: u128 = 3;

pub fn users() -> Vec<Uuid> {
    (1..=USERS).map(id).collect()
}

pub fn groups() -> Vec<Uuid> {
    (101..=100 + GROUPS).map(id).collect()
}

/// Roles, packages and applications.
pub fn things() -> Vec<Uuid> {
    (201..=200 + THINGS).map(id).collect()
}

/// One assignment: of any type, by a user or a group, of a group (its holder itself included) or a thing.
pub fn assignment(dice: &mut Dice) -> Assignment {
    let holder = if dice.below(2) == 0 {
        Holder::User(dice.one_of(&users()))
    } else {
        Holder::Group(dice.one_of(&groups()))
    };
    let (resource, kinds): (_, &[_]) = if dice.below(3) < 2 {
        (
            dice.one_of(&groups()),
            &[
                "Direct",
                "Direct",
                "Direct",
                "Direct",
                "Eligible",
                "Owner",
                "Governed",
                "Scheduled",
            ],
        )
    } else {
        (
            dice.one_of(&things()),
            &[
                "Direct",
                "Eligible",
                "Owner",
                "Governed",
                "OAuth2Grant",
                "Indirect",
            ],
        )
    };
    let kind = dice.one_of(kinds);
    let scope = match (kind, dice.below(4)) {
        ("Eligible", 0) => "/owner",
        ("Direct" | "Eligible", 1) => "/administrativeUnits/1",
        _ => "/",
    };
    Assignment {
        holder,
        kind,
        scope,
        resource,
    }
}

/// One relationship, of the kinds that give something and of one that does not.
pub fn containment(dice: &mut Dice) -> Containment {
    let child = if dice.below(2) == 0 {
        dice.one_of(&groups())
    } else {
        dice.one_of(&things())
    };
    let parent = if dice.below(4) == 0 {
        dice.one_of(&groups())
    } else {
        dice.one_of(&things())
    };
    Containment {
        parent,
        kind: dice.one_of(&["Contains", "Contains", "GrantsAccessTo", "DelegatesScope"]),
        role: dice.one_of(&["Member", "Owner", "", "Eligible Member", "Eligible Owner"]),
        child,
    }
}

/// A graph with cycles, self-nesting, eligible edges, owners, packages and a role of an application.
pub fn model(dice: &mut Dice) -> Model {
    let assignments = 6 + dice.below(14);
    let containments = dice.below(8);
    Model {
        assignments: (0..assignments).map(|_| assignment(dice)).collect(),
        containments: (0..containments).map(|_| containment(dice)).collect(),
        app_roles: things().into_iter().take(dice.below(2) as usize).collect(),
        lost_package: None,
    }
}
