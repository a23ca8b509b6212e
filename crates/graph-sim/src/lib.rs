//! A simulated Microsoft Entra tenant behind a real HTTP Microsoft Graph: demo
//! data and test bench.
//!
//! A [`TenantSpec`] and a seed give a [`Tenant`]; a [`Simulator`] serves it on a
//! local port, token endpoint and Graph on the same origin. [`Truth`] is what a
//! crawl must end up with, computed from the model and not from the answers.
//!
//! Invariants:
//! - the same spec gives the same tenant, and the same changes the same result;
//! - links never point at objects that do not exist (see
//!   [`Tenant::inconsistencies`]) unless a test puts them there by hand;
//! - pages are keyed by the last object id: no object is shown twice or left out
//!   while the tenant stands still;
//! - nothing is read from outside and nothing is kept after the simulator stops.
//!
//! ```
//! use graph_sim::{Fault, RoutePattern, SimOptions, Simulator, Tenant, TenantSpec};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), graph_sim::SimError> {
//! let tenant = Tenant::generate(&TenantSpec::new(1, 50, 20, 10));
//! let simulator = Simulator::start(tenant, SimOptions::default()).await?;
//! println!("point a crawler at {}", simulator.base_url());
//!
//! let members = RoutePattern::Suffix("/members".to_owned());
//! simulator.faults().add(Fault::status(members, 503, "ServiceUnavailable").times(2));
//! let changes = simulator.change(7, 0.05);
//! assert!(!changes.updated_users.is_empty());
//! assert_eq!(simulator.stats().requests, 0);
//! simulator.stop().await;
//! # Ok(())
//! # }
//! ```

mod change;
mod error;
mod generate;
mod model;
mod options;
pub mod permissions;
mod random;
mod routes;
mod server;
mod spec;
mod summary;
mod truth;

pub use error::SimError;
pub use model::{
    AdministrativeUnit, AppRole, Application, AssignmentType, ConditionalAccessPolicy, Credential,
    DeletedUser, Domain, Group, GroupAccess, GroupEligibility, License, Link, LinkMap, MemberKind,
    NamedLocation, OnPremises, Place, RoleAssignment, RoleDefinition, RoleEligibility,
    SecurityAttributes, ServicePrincipal, ServicePrincipalClass, ServicePrincipalType,
    SignInActivity, Tenant, User, UserType,
};
pub use options::{Limit, RetryAfterForm, SimOptions, Throttle};
pub use server::Simulator;
pub use server::faults::{Fault, FaultAction, FaultBody, FaultId, Faults, RoutePattern};
pub use server::stats::{LoggedRequest, RouteStats, Stats};
pub use spec::TenantSpec;
pub use summary::ChangeSummary;
pub use truth::{
    Truth, TruthAdministrativeUnit, TruthApplication, TruthGroup, TruthGroupEligibility, TruthLink,
    TruthOwner, TruthRole, TruthRoleAssignment, TruthRoleEligibility, TruthServicePrincipal,
    TruthUnitMember, TruthUser,
};
