//! Users: employees with a place, a job and a manager; guests; technical accounts.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::names::{CULTURES, ODD_NAMES, latin, native, slug};
use super::time::{days_from_today, midnight_from_today};
use super::words::{DEPARTMENTS, OFFICES, PARTNERS};
use super::{DEFAULT_DOMAIN, INITIAL_DOMAIN, ON_PREMISES_DOMAIN, SKU_E3, SKU_E5};
use crate::model::{License, OnPremises, SignInActivity, User, UserType};
use crate::random::Random;
use crate::spec::TenantSpec;

/// Makes users one by one, never the same address twice.
pub(crate) struct UserMaker {
    random: Random,
    guest_fraction: f64,
    disabled_fraction: f64,
    synced_fraction: f64,
    taken: HashMap<String, u32>,
    serial: u32,
}

impl UserMaker {
    pub(crate) fn new(spec: &TenantSpec, random: Random) -> Self {
        Self {
            random,
            guest_fraction: spec.guest_fraction,
            disabled_fraction: spec.disabled_fraction,
            synced_fraction: spec.synced_fraction,
            taken: HashMap::new(),
            serial: 0,
        }
    }

    /// Reserves the names that exist, for making more users later.
    pub(crate) fn avoid<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        for name in names {
            let local = name.split('@').next().unwrap_or(name).to_lowercase();
            self.taken.insert(local, 1);
            self.serial += 1;
        }
    }

    /// The next user, without a manager.
    pub(crate) fn make(&mut self) -> User {
        self.serial += 1;
        let mut user = if self.random.chance(self.guest_fraction) {
            self.guest()
        } else if self.random.chance(0.02) {
            self.technical()
        } else {
            self.employee()
        };
        if self.serial.is_multiple_of(41) {
            user.display_name = odd_name(self.serial as usize / 41);
        }
        user
    }

    fn unique(&mut self, local: &str) -> String {
        let mut candidate = local.to_owned();
        loop {
            let uses = self.taken.entry(candidate.clone()).or_insert(0);
            *uses += 1;
            if *uses == 1 {
                return candidate;
            }
            let next = format!("{local}{uses}");
            candidate = next;
        }
    }

    fn employee(&mut self) -> User {
        let random = &mut self.random;
        let office = random.pick(OFFICES);
        let culture = if random.chance(0.75) {
            &CULTURES[office.culture]
        } else {
            random.pick(CULTURES)
        };
        let given = *random.pick(culture.given);
        let surname = *random.pick(culture.surnames);
        let department = random.pick(DEPARTMENTS);
        // Few at the top, many at the bottom.
        let rank = (random.unit().powf(0.5) * department.titles.len() as f64) as usize;
        let title = department.titles[rank.min(department.titles.len() - 1)];
        let id = random.uuid();
        let created = days_from_today(random, -3_600, -2);
        let enabled = !random.chance(self.disabled_fraction);
        let local = format!("{}.{}", slug(latin(given)), slug(latin(surname)));
        let local = self.unique(&local);
        let mut user = blank(id, format!("{local}@{DEFAULT_DOMAIN}"), created);
        user.display_name = format!("{} {}", native(given), native(surname));
        user.given_name = Some(native(given).to_owned());
        user.surname = Some(native(surname).to_owned());
        user.account_enabled = Some(enabled);
        user.department = Some(department.name.to_owned());
        user.division = Some(department.division.to_owned());
        user.job_title = Some(title.to_owned());
        user.city = Some(office.city.to_owned());
        user.country = Some(office.country.to_owned());
        user.usage_location = Some(office.usage_location.to_owned());
        user.preferred_language = Some(office.language.to_owned());
        self.work_details(&mut user, &local, office.code, office.dial);
        user
    }

    fn work_details(&mut self, user: &mut User, local: &str, office: &str, dial: &str) {
        let random = &mut self.random;
        user.mail = Some(user.user_principal_name.clone());
        user.mail_nickname = Some(local.to_owned());
        user.proxy_addresses = vec![
            format!("SMTP:{local}@{DEFAULT_DOMAIN}"),
            format!("smtp:{local}@{INITIAL_DOMAIN}"),
        ];
        user.employee_id = Some(format!("C{:06}", 100_000 + self.serial));
        let kind = if random.chance(0.85) {
            "Employee"
        } else {
            "Contractor"
        };
        user.employee_type = Some(kind.to_owned());
        user.employee_hire_date = Some(midnight_from_today(random, -3_600, 30));
        user.employee_leave_date = random
            .chance(0.05)
            .then(|| midnight_from_today(random, -60, 400));
        user.cost_center = Some(format!("CC-{}", 4_000 + random.below(60) * 10));
        user.company_name = Some("Meridiaan Group".to_owned());
        user.office_location = Some(format!(
            "{office}-{}.{:02}",
            random.between(0, 9),
            random.between(1, 40)
        ));
        user.business_phones = vec![format!("{dial} 555 {:04}", random.below(10_000))];
        user.mobile_phone = random
            .chance(0.3)
            .then(|| format!("{dial} 777 {:04}", random.below(10_000)));
        user.badge_number = random
            .chance(0.5)
            .then(|| format!("B-{:05}", random.below(100_000)));
        if random.chance(0.3) {
            let wave = format!("WAVE-{}", random.between(1, 9));
            user.extension_attributes.insert(1, wave);
        }
        if random.chance(0.8) {
            let sku_id = if random.chance(0.4) { SKU_E5 } else { SKU_E3 };
            user.licenses.push(License {
                sku_id,
                assigned_by_group: None,
            });
        }
        if random.chance(self.synced_fraction) {
            user.on_premises = Some(synced_user(random, user, local, self.serial));
        }
        let changed = days_from_today(random, -400, -1);
        user.last_password_change = Some(changed);
        user.sign_in_sessions_valid_from = Some(changed);
        user.sign_in = random.chance(0.9).then(|| sign_in(random));
    }

    fn guest(&mut self) -> User {
        let random = &mut self.random;
        let culture = random.pick(CULTURES);
        let given = *random.pick(culture.given);
        let surname = *random.pick(culture.surnames);
        let partner = *random.pick(PARTNERS);
        let id = random.uuid();
        let created = days_from_today(random, -1_500, -1);
        let accepted = random.chance(0.8);
        let enabled = if random.chance(0.15) {
            None
        } else {
            Some(!random.chance(self.disabled_fraction))
        };
        let home = format!("{}.{}", slug(latin(given)), slug(latin(surname)));
        let local = self.unique(&format!("{home}_{partner}#ext#"));
        // The wire shows the marker in capitals.
        let local = local.replace("#ext#", "#EXT#");
        let mut user = blank(id, format!("{local}@{INITIAL_DOMAIN}"), created);
        let address = format!("{home}@{partner}");
        user.display_name = format!("{} {} (External)", native(given), native(surname));
        user.mail = Some(address.clone());
        user.other_mails = vec![address.clone()];
        user.proxy_addresses = vec![format!("SMTP:{address}")];
        user.user_type = UserType::Guest;
        user.account_enabled = enabled;
        user.creation_type = Some("Invitation".to_owned());
        let state = if accepted {
            "Accepted"
        } else {
            "PendingAcceptance"
        };
        user.external_user_state = Some(state.to_owned());
        user.external_user_state_changed = Some(created);
        user.sign_in = accepted.then(|| sign_in(&mut self.random));
        user
    }

    fn technical(&mut self) -> User {
        let random = &mut self.random;
        let id = random.uuid();
        let created = days_from_today(random, -2_500, -30);
        let is_room = random.chance(0.5);
        let department = random.pick(DEPARTMENTS).name;
        let number = random.between(1, 40);
        let (name, prefix) = if is_room {
            (format!("Meeting Room {number} {department}"), "room")
        } else {
            (format!("svc {department} batch {number}"), "svc")
        };
        let local = self.unique(&format!("{prefix}-{}{number}", slug(department)));
        let mut user = blank(id, format!("{local}@{DEFAULT_DOMAIN}"), created);
        user.display_name = name;
        user.mail_nickname = Some(local);
        user.account_enabled = Some(!is_room);
        user.is_resource_account = is_room.then_some(true);
        user.employee_type = Some("Service".to_owned());
        user.password_policies = Some("DisablePasswordExpiration".to_owned());
        user
    }
}

fn blank(id: Uuid, user_principal_name: String, created: DateTime<Utc>) -> User {
    User {
        id,
        display_name: user_principal_name.clone(),
        user_principal_name,
        given_name: None,
        surname: None,
        mail: None,
        mail_nickname: None,
        other_mails: Vec::new(),
        proxy_addresses: Vec::new(),
        user_type: UserType::Member,
        account_enabled: Some(true),
        created,
        creation_type: None,
        external_user_state: None,
        external_user_state_changed: None,
        employee_id: None,
        employee_type: None,
        employee_hire_date: None,
        employee_leave_date: None,
        division: None,
        cost_center: None,
        department: None,
        job_title: None,
        company_name: None,
        office_location: None,
        city: None,
        country: None,
        usage_location: None,
        preferred_language: None,
        business_phones: Vec::new(),
        mobile_phone: None,
        on_premises: None,
        extension_attributes: BTreeMap::new(),
        badge_number: None,
        licenses: Vec::new(),
        last_password_change: None,
        password_policies: None,
        sign_in_sessions_valid_from: None,
        is_resource_account: None,
        is_management_restricted: None,
        manager_id: None,
        sign_in: None,
        security_attributes: BTreeMap::new(),
    }
}

fn synced_user(random: &mut Random, user: &User, local: &str, serial: u32) -> OnPremises {
    let account: String = local.replace('.', "").chars().take(20).collect();
    OnPremises {
        immutable_id: Some(format!("{:022x}==", random.next())),
        sam_account_name: account,
        user_principal_name: Some(format!("{local}@{ON_PREMISES_DOMAIN}")),
        distinguished_name: Some(format!(
            "CN={},OU=Staff,DC=corp,DC=meridiaan,DC=example",
            user.display_name
        )),
        domain_name: ON_PREMISES_DOMAIN.to_owned(),
        net_bios_name: None,
        security_identifier: format!(
            "S-1-5-21-2019773331-118402277-3344117761-{}",
            20_000 + serial
        ),
        last_sync: days_from_today(random, -1, 0),
    }
}

pub(super) fn sign_in(random: &mut Random) -> SignInActivity {
    let last = days_from_today(random, -120, 0);
    let quiet = random.chance(0.2).then(|| days_from_today(random, -120, 0));
    SignInActivity {
        last_sign_in: Some(last),
        last_non_interactive_sign_in: quiet,
        last_successful_sign_in: random.chance(0.9).then_some(last),
    }
}

/// Odd names in turn; the third is exactly 256 characters long.
fn odd_name(turn: usize) -> String {
    const LONG: usize = 2;
    match turn.saturating_sub(1) % (ODD_NAMES.len() + 1) {
        LONG => "Långt-namn-".chars().cycle().take(256).collect(),
        place if place < LONG => ODD_NAMES[place].to_owned(),
        place => ODD_NAMES[place - 1].to_owned(),
    }
}

/// Gives users managers so that they form a tree with a single root, about
/// eight reports each. `users` holds employees in creation order.
pub(crate) fn appoint_managers(users: &mut BTreeMap<Uuid, User>, employees: &[Uuid]) {
    for (place, id) in employees.iter().enumerate().skip(1) {
        let manager = employees[(place - 1) / 8];
        if let Some(user) = users.get_mut(id) {
            user.manager_id = Some(manager);
        }
    }
}
