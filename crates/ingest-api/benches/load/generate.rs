//! The tenant that is loaded: every record is computed from a seed and its number, so nothing of it is kept in memory
//! but the sizes of the groups.
//!
//! Ids look random, so the order in which Graph lists objects (by number here) has nothing to do with that of the keys.

use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};
use contract::{
    TypeName,
    records::{
        ExtendedAttributes, Principal, Resource, ResourceAssignment, assignment_type,
        principal_type, resource_type,
    },
};
use serde_json::json;
use uuid::{Builder, Uuid};

use crate::words::{DEPARTMENTS, GIVEN_NAMES, JOB_TITLES, OFFICES, SURNAMES, WORDS_LENGTH, words};

/// A day on which the tenant is loaded. On the first, number 0, everything is new; on each later one, 1 % of the records
/// change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// Its number.
    pub number: u32,
    /// On each day from the second on, another 1 % of the records are gone.
    pub removes: bool,
    /// The tenant was loaded on this day already: nothing happened since.
    pub again: bool,
}

impl Day {
    /// The first.
    pub const FIRST: Self = Self {
        number: 0,
        removes: false,
        again: false,
    };
}

/// What happened to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing.
    Same,
    /// One of its fields has another value.
    Changed,
    /// The source has it no longer.
    Gone,
    /// It was gone before.
    Absent,
}

/// A record on its way into one of the sessions (lanes) that are open at the same time.
pub struct Item<R> {
    /// The session's place among those that are open.
    pub lane: usize,
    /// What happened to the record; one that is gone is not sent.
    pub fate: Fate,
    /// The record.
    pub record: R,
}

/// What numbers are drawn for; keeps them apart.
#[derive(Debug, Clone, Copy)]
enum For {
    Principal = 1,
    Resource,
    Fate,
    Members,
    Shuffle,
    Words,
}

/// Sizes and seed of a tenant.
#[derive(Debug)]
pub struct Tenant {
    seed: u64,
    principals: u64,
    /// Members of each group, in the order in which the groups are listed.
    group_sizes: Vec<u32>,
    roles: u64,
    holders_per_role: u64,
    /// Length of a further text in each principal, to make its record larger.
    padding: usize,
    /// What those texts are cut from.
    words: String,
    epoch: DateTime<Utc>,
}

/// The principal types, in the order of the sessions.
pub const PRINCIPAL_TYPES: [TypeName; 3] = [
    principal_type::USER,
    principal_type::EXTERNAL_USER,
    principal_type::SERVICE_PRINCIPAL,
];

/// Of a thousand records, so many change on a day, and so many leave.
const CHANGE: Range<u64> = 0..10;
const LEAVE: Range<u64> = 10..20;

/// How unequal groups are: 1 is the classic curve of city sizes, 0 makes all alike.
const SKEW: f64 = 0.8;

impl Tenant {
    /// A tenant with N principals, N/4 resources and this many assignments.
    pub fn new(seed: u64, principals: u64, assignments: u64, padding: usize) -> Self {
        let resources = principals / 4;
        let roles = (resources / 10).min(60);
        let groups = resources - roles;
        let holders_per_role = (assignments / 200 / roles).max(1);
        let memberships = assignments - groups / 2 - roles * holders_per_role;
        let mut tenant = Self {
            seed,
            principals,
            group_sizes: group_sizes(groups, memberships),
            roles,
            holders_per_role,
            padding,
            words: words(if padding > 0 { WORDS_LENGTH } else { 0 }),
            epoch: DateTime::UNIX_EPOCH + TimeDelta::days(18_000),
        };
        tenant.shuffle_groups();
        tenant
    }

    /// How many groups there are.
    fn groups(&self) -> u64 {
        self.group_sizes.len() as u64
    }

    /// How many resources there are.
    pub fn resources_total(&self) -> u64 {
        self.groups() + self.roles
    }

    /// How many assignments there are.
    pub fn assignments_total(&self) -> u64 {
        let members: u64 = self.group_sizes.iter().map(|size| u64::from(*size)).sum();
        members + self.groups() / 2 + self.roles * self.holders_per_role
    }

    /// The members of the largest group.
    pub fn largest_group(&self) -> u32 {
        self.group_sizes.iter().copied().max().unwrap_or(0)
    }

    fn shuffle_groups(&mut self) {
        for last in (1..self.group_sizes.len()).rev() {
            let other = self.draw(For::Shuffle, last as u64) % (last as u64 + 1);
            self.group_sizes.swap(last, other as usize);
        }
    }

    fn draw(&self, purpose: For, number: u64) -> u64 {
        mix(mix(self.seed ^ ((purpose as u64) << 56)).wrapping_add(number))
    }

    fn id(&self, purpose: For, number: u64) -> Uuid {
        let high = self.draw(purpose, number);
        let bits = (u128::from(high) << 64) | u128::from(mix(high));
        Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }

    /// What of a thousand things happens to a record on a day.
    fn luck(&self, day: u32, purpose: For, number: u64) -> u64 {
        let number = number ^ ((purpose as u64) << 48) ^ (u64::from(day) << 56);
        self.draw(For::Fate, number) % 1000
    }

    fn fate(&self, day: Day, purpose: For, number: u64) -> Fate {
        let mut last = 1000;
        for past in 1..=day.number {
            last = self.luck(past, purpose, number);
            if day.removes && LEAVE.contains(&last) {
                let leaves_now = past == day.number && !day.again;
                return if leaves_now { Fate::Gone } else { Fate::Absent };
            }
        }
        if CHANGE.contains(&last) && !day.again {
            Fate::Changed
        } else {
            Fate::Same
        }
    }

    /// How often a record has changed until a day.
    fn changes(&self, day: Day, purpose: For, number: u64) -> usize {
        (1..=day.number)
            .filter(|past| CHANGE.contains(&self.luck(*past, purpose, number)))
            .count()
    }

    /// 12 % are guests, 4 % applications.
    fn principal_lane(number: u64) -> usize {
        match number % 25 {
            0..3 => 1,
            3 => 2,
            _ => 0,
        }
    }

    /// The principals, as the list of users gives them.
    pub fn principals(&self, day: Day) -> impl Iterator<Item = Item<Principal>> + Send {
        (0..self.principals).map(move |number| {
            let fate = self.fate(day, For::Principal, number);
            Item {
                lane: Self::principal_lane(number),
                fate,
                record: self.principal(number, self.changes(day, For::Principal, number)),
            }
        })
    }

    fn principal(&self, number: u64, changes: usize) -> Principal {
        let luck = self.draw(For::Words, number);
        let pick = |words: &'static [&'static str], shift: u32| {
            words[(luck >> shift) as usize % words.len()]
        };
        let (given, surname) = (pick(GIVEN_NAMES, 0), pick(SURNAMES, 8));
        let department = pick(DEPARTMENTS, 16);
        let account = format!("{given}.{surname}{number}").to_lowercase();
        let address = format!("{account}@harbour.example");
        let department = match changes {
            0 => department.to_owned(),
            changes => format!("{department} (new {changes})"),
        };
        Principal {
            id: Some(self.id(For::Principal, number)),
            principal_type: Some(PRINCIPAL_TYPES[Self::principal_lane(number)].clone()),
            display_name: format!("{given} {surname}"),
            user_principal_name: Some(address.clone()),
            email: Some(address),
            given_name: Some(given.to_owned()),
            surname: Some(surname.to_owned()),
            job_title: Some(pick(JOB_TITLES, 24).to_owned()),
            department: Some(department),
            company_name: Some("Harbour Logistics".to_owned()),
            employee_id: Some(format!("E{number:07}")),
            employee_type: Some(pick(&["Employee", "Contractor"], 32).to_owned()),
            office_location: Some(pick(OFFICES, 36).to_owned()),
            country: Some(pick(&["NL", "DE", "BE", "DK"], 40).to_owned()),
            manager_id: Some(self.id(For::Principal, number / 8)),
            account_enabled: Some(!luck.is_multiple_of(20)),
            created_date_time: Some(self.epoch + TimeDelta::seconds((luck % 100_000_000) as i64)),
            extended_attributes: Some(self.more_about(number, &account)),
            ..Principal::default()
        }
    }

    /// What has no column of its own.
    fn more_about(&self, number: u64, account: &str) -> ExtendedAttributes {
        let mut more = ExtendedAttributes::new();
        more.insert("userType".into(), json!("Member"));
        more.insert("usageLocation".into(), json!("NL"));
        more.insert("onPremisesSamAccountName".into(), json!(account));
        more.insert(
            "onPremisesSecurityIdentifier".into(),
            json!(format!(
                "S-1-5-21-3623811015-3361044348-30300820-{}",
                number + 1000
            )),
        );
        more.insert(
            "proxyAddresses".into(),
            json!([format!("SMTP:{account}@harbour.example")]),
        );
        if self.padding > 0 {
            more.insert("notes".into(), json!(self.text(number)));
        }
        more
    }

    /// A text of the padding's length, another one for every principal.
    fn text(&self, number: u64) -> &str {
        let last = self.words.len() - self.padding;
        let start = self.draw(For::Words, !number) as usize % last;
        &self.words[start..start + self.padding]
    }

    /// The groups, then the directory roles; each kind is a session.
    pub fn resources(&self, day: Day) -> impl Iterator<Item = Item<Resource>> + Send {
        (0..self.resources_total()).map(move |number| {
            let fate = self.fate(day, For::Resource, number);
            let is_role = number >= self.groups();
            Item {
                lane: usize::from(is_role),
                fate,
                record: self.resource(number, is_role, self.changes(day, For::Resource, number)),
            }
        })
    }

    fn resource(&self, number: u64, is_role: bool, changes: usize) -> Resource {
        let luck = self.draw(For::Words, number ^ (1 << 40));
        let about = DEPARTMENTS[luck as usize % DEPARTMENTS.len()];
        let mut more = ExtendedAttributes::new();
        if !is_role {
            more.insert("groupKind".into(), json!("Security"));
            more.insert("securityEnabled".into(), json!(true));
            more.insert("mailEnabled".into(), json!(false));
            more.insert("mailNickname".into(), json!(format!("sg-{number}")));
        }
        let changed = match changes {
            0 => String::new(),
            changes => format!(", renewed {changes} times"),
        };
        Resource {
            id: Some(self.id(For::Resource, number)),
            resource_type: Some(resource_type_of(is_role)),
            display_name: format!("SG-{about}-{number}"),
            description: Some(format!("Access of {about} to share {number}{changed}")),
            visibility: Some("Private".to_owned()),
            is_assignable_to_role: Some(luck.is_multiple_of(50)),
            created_date_time: Some(self.epoch + TimeDelta::seconds((luck % 100_000_000) as i64)),
            extended_attributes: Some(more),
            ..Resource::default()
        }
    }

    /// Members and owners, group by group, then the holders of roles; each kind is a session.
    pub fn assignments(&self, day: Day) -> impl Iterator<Item = Item<ResourceAssignment>> + Send {
        let groups = (0..self.groups()).flat_map(move |group| {
            let size = u64::from(self.group_sizes[group as usize]);
            let owner = group.is_multiple_of(2).then_some(OWNER);
            let members = (0..size).zip(std::iter::repeat(MEMBER));
            self.holders_of(day, group, members.chain(owner))
        });
        let roles = (self.groups()..self.resources_total()).flat_map(move |role| {
            let holders = (0..self.holders_per_role).zip(std::iter::repeat(ROLE));
            self.holders_of(day, role, holders)
        });
        groups.chain(roles)
    }

    fn holders_of(
        &self,
        day: Day,
        resource: u64,
        places: impl Iterator<Item = (u64, usize)> + Send,
    ) -> impl Iterator<Item = Item<ResourceAssignment>> + Send {
        let walk = Walk::new(self.draw(For::Members, resource), self.principals);
        let resource_id = self.id(For::Resource, resource);
        places.map(move |(place, lane)| {
            let number = self.draw(For::Members, resource << 24 ^ place << 2 ^ lane as u64);
            let fate = self.fate(day, For::Members, number);
            let mut record = ResourceAssignment::new(if lane == OWNER.1 {
                assignment_type::OWNER
            } else {
                assignment_type::DIRECT
            });
            // Every twentieth group has the next one as its first member.
            let nests = lane == MEMBER && place == 0 && resource.is_multiple_of(20);
            if nests && resource + 1 < self.groups() {
                record.principal_id = Some(self.id(For::Resource, resource + 1));
                record.principal_type = Some(principal_type::GROUP);
            } else {
                let holder = walk.at(place);
                record.principal_id = Some(self.id(For::Principal, holder));
                let kind = &PRINCIPAL_TYPES[Self::principal_lane(holder)];
                record.principal_type = Some(kind.clone());
            }
            record.resource_id = Some(resource_id);
            record.resource_type = Some(resource_type_of(lane == ROLE));
            record.state = match self.changes(day, For::Members, number) {
                0 => None,
                changes => Some(format!("Provisioned {changes}")),
            };
            Item { lane, fate, record }
        })
    }
}

/// The lane of members.
const MEMBER: usize = 0;
/// The place and lane of an owner.
const OWNER: (u64, usize) = (0, 1);
/// The lane of the holders of directory roles.
const ROLE: usize = 2;

fn resource_type_of(is_role: bool) -> TypeName {
    if is_role {
        resource_type::ENTRA_DIRECTORY_ROLE
    } else {
        resource_type::ENTRA_GROUP
    }
}

/// Visits numbers below `count` in an arbitrary order, none twice.
struct Walk {
    start: u64,
    stride: u64,
    count: u64,
}

impl Walk {
    fn new(luck: u64, count: u64) -> Self {
        let mut stride = 1 + mix(luck) % (count - 1);
        while !are_coprime(stride, count) {
            stride = 1 + stride % (count - 1);
        }
        Self {
            start: luck % count,
            stride,
            count,
        }
    }

    fn at(&self, place: u64) -> u64 {
        (self.start + place * self.stride) % self.count
    }
}

fn are_coprime(mut a: u64, mut b: u64) -> bool {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a == 1
}

/// Sizes that add up to the total, the largest first.
fn group_sizes(groups: u64, total: u64) -> Vec<u32> {
    let weight = |rank: u64| ((rank + 1) as f64).powf(-SKEW);
    let all: f64 = (0..groups).map(weight).sum();
    let mut before = 0.0;
    let mut given = 0;
    (0..groups)
        .map(|rank| {
            before += weight(rank);
            let until = if rank + 1 == groups {
                total
            } else {
                ((before / all * total as f64) as u64).min(total)
            };
            let size = until - given;
            given = until;
            size as u32
        })
        .collect()
}

/// A number that looks random, from one that does not (the finaliser of SplitMix64).
pub fn mix(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}
