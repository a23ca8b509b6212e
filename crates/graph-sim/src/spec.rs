//! How large and how mixed a generated tenant is.

/// The size and mix of a tenant to generate. The counts are exact; the fractions
/// are probabilities. Tenants with at least 16 groups contain every special
/// structure (cycle, self-nesting, deep chain, role-assignable groups …).
#[derive(Debug, Clone, PartialEq)]
pub struct TenantSpec {
    /// The same seed and sizes always give the same tenant.
    pub seed: u64,
    /// Number of users, guests included.
    pub users: usize,
    /// Number of groups.
    pub groups: usize,
    /// Number of service principals, agents and managed identities included.
    pub service_principals: usize,
    /// Average number of members of a group; sizes are log-normal with a heavy tail.
    pub mean_group_size: f64,
    /// Share of guests among the users.
    pub guest_fraction: f64,
    /// Share of disabled accounts.
    pub disabled_fraction: f64,
    /// Share of users and groups that come from Active Directory.
    pub synced_fraction: f64,
    /// Number of access packages; one per 60 groups where not said.
    pub access_packages: Option<usize>,
    /// Number of administrative units; about one per 50 groups, at least five, when it is not said.
    pub administrative_units: Option<usize>,
}

impl TenantSpec {
    /// A tenant of the given size with the usual mix.
    pub fn new(seed: u64, users: usize, groups: usize, service_principals: usize) -> Self {
        Self {
            seed,
            users,
            groups,
            service_principals,
            ..Self::default()
        }
    }

    /// The same tenant with this many access packages.
    #[must_use]
    pub fn with_access_packages(self, count: usize) -> Self {
        Self {
            access_packages: Some(count),
            ..self
        }
    }
    /// The same tenant with so many administrative units (at least five).
    #[must_use]
    pub fn with_administrative_units(self, count: usize) -> Self {
        Self {
            administrative_units: Some(count),
            ..self
        }
    }

    pub(crate) fn administrative_units(&self) -> usize {
        self.administrative_units.unwrap_or(self.groups / 50)
    }
}

impl Default for TenantSpec {
    fn default() -> Self {
        Self {
            seed: 1,
            users: 200,
            groups: 60,
            service_principals: 40,
            mean_group_size: 30.0,
            guest_fraction: 0.12,
            disabled_fraction: 0.06,
            synced_fraction: 0.45,
            access_packages: None,
            administrative_units: None,
        }
    }
}
