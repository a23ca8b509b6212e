//! Groups: the special structures first, then the everyday mix.

use super::names::slug;
use super::time::days_from_today;
use super::words::{DEPARTMENTS, GROUP_ACTIONS, OFFICES, PROJECTS};
use super::{DEFAULT_DOMAIN, ON_PREMISES_DOMAIN, SKU_E5};
use crate::model::{Group, License, OnPremises};
use crate::random::Random;
use crate::spec::TenantSpec;

/// How many groups a tenant needs to hold every special structure.
pub(crate) const SPECIAL_GROUPS: usize = 16;
/// Place of the group of all employees among the special groups.
pub(crate) const ALL_EMPLOYEES: usize = 0;
/// Place of the group with hidden membership.
pub(crate) const HIDDEN: usize = 1;
/// Places of the two groups that contain each other.
pub(crate) const CYCLE: (usize, usize) = (2, 3);
/// Place of the group that contains itself.
pub(crate) const SELF_NESTED: usize = 4;
/// Places of the chain: each group contains the next.
pub(crate) const CHAIN: std::ops::RangeInclusive<usize> = 5..=11;
/// Places of role-assignable groups.
pub(crate) const ROLE_ASSIGNABLE: std::ops::RangeInclusive<usize> = 12..=14;
/// Place of the synced distribution list.
pub(crate) const DISTRIBUTION: usize = 15;

const SPECIAL_NAMES: [&str; SPECIAL_GROUPS] = [
    "DG-All-Employees",
    "Works Council",
    "SG-Warehouse-Planners",
    "SG-Warehouse-Dispatchers",
    "SG-Legacy-Fileshare",
    "SG-Platform-Everyone",
    "SG-Platform-Contributors",
    "SG-Platform-Maintainers",
    "SG-Platform-Release",
    "SG-Platform-Production",
    "SG-Platform-OnCall",
    "SG-Platform-BreakGlass",
    "RA-Tier0-Directory-Admins",
    "RA-Helpdesk",
    "RA-Application-Owners",
    "DL-Announcements",
];

/// Makes groups one by one.
pub(crate) struct GroupMaker {
    random: Random,
    synced_fraction: f64,
    serial: usize,
}

impl GroupMaker {
    pub(crate) fn new(spec: &TenantSpec, random: Random) -> Self {
        Self {
            random,
            synced_fraction: spec.synced_fraction,
            serial: 0,
        }
    }

    /// One of the special groups.
    pub(crate) fn special(&mut self, place: usize) -> Group {
        let mut group = self.security(SPECIAL_NAMES[place].to_owned());
        group.on_premises = None;
        match place {
            ALL_EMPLOYEES => make_dynamic(&mut group, "(user.userType -eq \"Member\")"),
            HIDDEN => {
                make_unified(&mut group);
                group.visibility = Some("HiddenMembership".to_owned());
            }
            DISTRIBUTION => {
                make_mail_enabled(&mut group);
                group.security_enabled = false;
                group.on_premises = Some(self.synced(&group));
            }
            place if ROLE_ASSIGNABLE.contains(&place) => make_role_assignable(&mut group),
            _ => {}
        }
        group
    }

    /// An everyday group.
    pub(crate) fn make(&mut self) -> Group {
        let kind = self.random.unit();
        self.serial += 1;
        if kind < 0.50 {
            let department = self.random.pick(DEPARTMENTS);
            let system = *self.random.pick(department.systems);
            let action = *self.random.pick(GROUP_ACTIONS);
            let name = self.numbered(format!("SG-{}-{system}-{action}", compact(department.name)));
            return self.security(name);
        }
        let office = self.random.pick(OFFICES);
        let project = *self.random.pick(PROJECTS);
        if kind < 0.78 {
            let name = self.numbered(format!("Project {project} {}", office.city));
            let mut group = self.security(name);
            group.on_premises = None;
            make_unified(&mut group);
            if self.random.chance(0.6) {
                group.resource_provisioning_options = vec!["Team".to_owned()];
            }
            if self.random.chance(0.04) {
                group.visibility = Some("HiddenMembership".to_owned());
            }
            group
        } else if kind < 0.88 {
            let name = self.numbered(format!("DG-Office-{}", office.code));
            let mut group = self.security(name);
            group.on_premises = None;
            make_dynamic(&mut group, &format!("(user.city -eq \"{}\")", office.city));
            group
        } else if kind < 0.98 {
            let name = self.numbered(format!("ML-{project}-{}", office.code));
            let mut group = self.security(name);
            make_mail_enabled(&mut group);
            group.security_enabled = self.random.chance(0.5);
            group
        } else {
            let department = self.random.pick(DEPARTMENTS);
            let name = self.numbered(format!("RA-{}-Operators", compact(department.name)));
            let mut group = self.security(name);
            group.on_premises = None;
            make_role_assignable(&mut group);
            group
        }
    }

    /// Most names are unique, a few repeat: Entra allows that.
    fn numbered(&mut self, name: String) -> String {
        if self.random.chance(0.03) {
            name
        } else {
            format!("{name}-{:02}", self.serial)
        }
    }

    fn security(&mut self, name: String) -> Group {
        let random = &mut self.random;
        let id = random.uuid();
        let created = days_from_today(random, -3_600, -5);
        let mut group = Group {
            id,
            description: random
                .chance(0.7)
                .then(|| format!("Membership gives access to what {name} stands for")),
            mail: None,
            mail_enabled: false,
            mail_nickname: slug(&name),
            display_name: name,
            security_enabled: true,
            group_types: Vec::new(),
            visibility: None,
            is_assignable_to_role: None,
            membership_rule: None,
            membership_rule_processing_state: None,
            created,
            renewed: Some(created),
            expiration: None,
            classification: random.chance(0.1).then(|| "Confidential".to_owned()),
            on_premises: None,
            proxy_addresses: Vec::new(),
            resource_provisioning_options: Vec::new(),
            licenses: Vec::new(),
            is_management_restricted: None,
        };
        if random.chance(0.03) {
            group.licenses.push(License {
                sku_id: SKU_E5,
                assigned_by_group: None,
            });
        }
        if random.chance(self.synced_fraction) {
            group.on_premises = Some(self.synced(&group));
        }
        group
    }

    fn synced(&mut self, group: &Group) -> OnPremises {
        let relative_id = 50_000 + self.random.below(1_000_000);
        OnPremises {
            immutable_id: None,
            sam_account_name: group.display_name.chars().take(64).collect(),
            user_principal_name: None,
            distinguished_name: None,
            domain_name: ON_PREMISES_DOMAIN.to_owned(),
            net_bios_name: Some("MERIDIAAN".to_owned()),
            security_identifier: format!("S-1-5-21-2019773331-118402277-3344117761-{relative_id}"),
            last_sync: days_from_today(&mut self.random, -1, 0),
        }
    }
}

fn compact(name: &str) -> String {
    name.replace(' ', "")
}

fn make_unified(group: &mut Group) {
    group.group_types = vec!["Unified".to_owned()];
    group.visibility = Some("Private".to_owned());
    group.security_enabled = false;
    make_mail_enabled(group);
}

fn make_mail_enabled(group: &mut Group) {
    let address = format!("{}@{DEFAULT_DOMAIN}", group.mail_nickname);
    group.mail_enabled = true;
    group.proxy_addresses = vec![format!("SMTP:{address}")];
    group.mail = Some(address);
}

fn make_dynamic(group: &mut Group, rule: &str) {
    group.group_types.push("DynamicMembership".to_owned());
    group.membership_rule = Some(rule.to_owned());
    group.membership_rule_processing_state = Some("On".to_owned());
}

fn make_role_assignable(group: &mut Group) {
    group.is_assignable_to_role = Some(true);
    group.visibility = Some("Private".to_owned());
    group.description = Some("May hold directory roles".to_owned());
}
