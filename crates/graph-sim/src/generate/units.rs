//! Administrative units with their members.

use uuid::Uuid;

use super::words::OFFICES;
use crate::model::{AdministrativeUnit, Link, MemberKind, Tenant};
use crate::random::Random;

/// Makes units one by one, of every kind in turn.
pub(crate) struct UnitMaker {
    random: Random,
    serial: usize,
}

impl UnitMaker {
    pub(crate) fn new(random: Random, serial: usize) -> Self {
        Self { random, serial }
    }

    /// The next unit, without users and groups.
    pub(crate) fn make(&mut self) -> AdministrativeUnit {
        self.serial += 1;
        let office = self.random.pick(OFFICES);
        let serial = self.serial;
        let mut unit = AdministrativeUnit {
            id: self.random.uuid(),
            display_name: format!("AU-{}-{serial}", office.city),
            description: (!serial.is_multiple_of(4)).then(|| format!("Unit of {}", office.city)),
            visibility: None,
            membership_rule: None,
            is_member_management_restricted: false,
            devices: Vec::new(),
        };
        self.turn_into_kind(&mut unit, serial);
        unit
    }

    fn turn_into_kind(&mut self, unit: &mut AdministrativeUnit, turn: usize) {
        match turn % 5 {
            1 => unit.visibility = Some("HiddenMembership".to_owned()),
            2 => unit.is_member_management_restricted = true,
            3 => unit.membership_rule = Some("(user.city -eq \"Rotterdam\")".to_owned()),
            _ => {}
        }
        unit.devices = (0..self.random.below(6))
            .map(|_| self.random.uuid())
            .collect();
        unit.devices.sort_unstable();
    }
}

/// Makes units until there are `count` (the regions are there already) and puts users and groups into all of them.
pub(crate) fn add_members(tenant: &mut Tenant, count: usize, random: &mut Random) {
    let mut maker = UnitMaker::new(Random::new(random.next()), 0);
    let regions: Vec<Uuid> = tenant.administrative_units.keys().copied().collect();
    for (place, id) in regions.iter().enumerate() {
        if let Some(unit) = tenant.administrative_units.get_mut(id) {
            maker.turn_into_kind(unit, place);
        }
    }
    for _ in regions.len()..count {
        let unit = maker.make();
        tenant.administrative_units.insert(unit.id, unit);
    }
    let users: Vec<Uuid> = tenant.users.keys().copied().collect();
    let groups: Vec<Uuid> = tenant.groups.keys().copied().collect();
    let units: Vec<Uuid> = tenant.administrative_units.keys().copied().collect();
    for (place, unit) in units.into_iter().enumerate() {
        // One in seven stands empty.
        if place % 7 == 6 {
            continue;
        }
        let mut links = Vec::new();
        for (kind, pool, most) in [
            (MemberKind::User, &users, 60),
            (MemberKind::Group, &groups, 6),
        ] {
            let size = 1 + random.below(most);
            let chosen = random.sample(pool, size).into_iter();
            links.extend(chosen.map(|id| Link { id, kind }));
        }
        tenant.unit_members.set(unit, links);
    }
}
