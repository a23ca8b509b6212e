//! Switching between profiles while the simulator runs.

use std::sync::PoisonError;

use super::Simulator;
use super::state::Licences;
use crate::profile::{Bundle, Profile};

impl Simulator {
    /// Replaces all faults, limits, permissions, licences and delta options by those of
    /// a profile, on top of what the options said at the start. Hostile values stay in
    /// the tenant when their profile ends: they are part of the truth.
    pub fn set_profile(&self, profile: Profile) {
        let options = &self.shared.options;
        let seed = self.shared.seed;
        let bundle = Bundle::of(profile, seed);
        if bundle.hostile_share > 0.0 {
            self.with_tenant(|tenant| tenant.make_hostile(seed, bundle.hostile_share));
        }
        let has_licence = |licence: bool| licence && !bundle.lacks_licences;
        *self
            .shared
            .licences
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Licences {
            p1: has_licence(options.p1_licensed),
            p2: has_licence(options.p2_licensed),
        };
        self.set_throttle(bundle.throttle.unwrap_or(options.throttle));
        self.set_token_lifetime(bundle.token_lifetime.unwrap_or(options.token_lifetime));
        let mut roles = options.roles.clone();
        roles.retain(|role| !bundle.missing_roles.contains(&role.as_str()));
        if self.shared.tokens.roles() != roles {
            self.set_roles(roles);
            self.expire_tokens();
        }
        let delta = bundle.delta.unwrap_or(options.delta);
        if delta.lifetime.is_zero() {
            self.expire_delta_tokens();
        }
        self.set_delta(delta);
        self.faults().clear();
        for fault in bundle.faults {
            self.faults().add(fault);
        }
    }
}
