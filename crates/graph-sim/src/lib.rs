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
//! - a deltaLink tells every change of what was selected, however it was made;
//! - what is left to chance depends on seeds and on the requests themselves, not on
//!   their order or the clock;
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

mod application;
mod change;
mod change_apps;
mod change_governance;
mod error;
mod generate;
mod hostile;
mod model;
mod options;
pub mod permissions;
mod profile;
mod random;
mod routes;
pub mod sample;
mod server;
mod spec;
mod summary;
mod truth;

pub use application::app_role_id;
pub use error::SimError;
pub use model::{
    AccessPackage, AccessReview, AdministrativeUnit, AppAccess, AppRole, AppRoleAssignment,
    Application, Approver, AssignmentType, Catalog, CatalogRole, ConditionalAccessPolicy,
    Credential, DeletedUser, Domain, FederatedCredential, Governance, GovernanceRole, Group,
    GroupAccess, GroupAssignment, GroupEligibility, License, Link, LinkMap, MemberKind,
    NamedLocation, OnPremises, PackageAssignment, PackageGrant, PackagePolicy, PackageRequest,
    PackageRole, PermissionGrant, Place, RequestedAccess, ReviewDecision, ReviewInstance,
    ReviewTarget, RoleAssignment, RoleDefinition, RoleEligibility, SecurityAttributes,
    ServicePrincipal, ServicePrincipalClass, ServicePrincipalType, SignInActivity, Tenant, User,
    UserType,
};
pub use options::{
    DeltaExpiry, DeltaOptions, Limit, Neighbour, Removal, RetryAfterForm, SimOptions, Throttle,
    TrustedIssuer,
};
pub use profile::{Profile, UnknownProfile};
pub use server::Simulator;
pub use server::faults::{Fault, FaultAction, FaultBody, FaultId, Faults, RoutePattern};
pub use server::stats::{LoggedRequest, ReceivedRequest, RouteStats, Stats};
pub use spec::TenantSpec;
pub use summary::ChangeSummary;
pub use truth::{
    Truth, TruthAdministrativeUnit, TruthAppRoleAssignment, TruthApplication,
    TruthFederatedCredential, TruthGroup, TruthGroupEligibility, TruthLink, TruthOwner,
    TruthPermissionGrant, TruthRole, TruthRoleAssignment, TruthRoleEligibility,
    TruthServicePrincipal, TruthUnitMember, TruthUser,
};
